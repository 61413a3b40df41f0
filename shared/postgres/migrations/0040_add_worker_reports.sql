-- +goose Up

-- What /readyz of each worker says, as the worker last wrote it: the console's ingress
-- cannot ask workers, which may run anywhere and in any number.
CREATE TABLE worker_reports (
    worker     text        PRIMARY KEY,
    checks     jsonb       NOT NULL, -- by dependency: ok or unavailable
    updated_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE worker_reports;
