-- +goose Up

-- The recipients that belong to no domain of the email's tenant, as the last routing
-- found them: no rule was asked about them. NULL: there are none, or nobody has looked.
ALTER TABLE emails ADD COLUMN foreign_recipients text[];

-- +goose Down
ALTER TABLE emails DROP COLUMN foreign_recipients;
