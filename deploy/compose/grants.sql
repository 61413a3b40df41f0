-- What the ingress and the worker may do in the ledger: every row that they write, and no
-- table, function or trigger. The service `grants` runs it as the owner after each
-- migration. It is safe to repeat.
BEGIN;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM mailroom_ingress, mailroom_worker;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM mailroom_ingress, mailroom_worker;

-- Both read mail, and append to what is never changed. A change of an email's state also
-- appends a transition, and a decision an entry of the audit chain: triggers do it with
-- the rights of the program.
GRANT SELECT ON goose_db_version, emails, inbox, attachments, deliveries, decisions, intents, edits, findings,
      replays, replay_items, replay_counts, recoveries, attempts, transitions, past_steps, past_ends, reminders, audit, audit_head,
      unknown_signals, email_search, email_search_new, destination_controls, destination_status, gone_destinations,
      destination_answers, worker_reports, waits, message_ids
   TO mailroom_ingress, mailroom_worker;
GRANT INSERT ON decisions, transitions, past_steps, past_ends, waits, audit TO mailroom_ingress, mailroom_worker;
GRANT UPDATE ON audit_head TO mailroom_ingress, mailroom_worker;
GRANT SELECT, USAGE ON SEQUENCE email_changes TO mailroom_ingress, mailroom_worker;
GRANT INSERT, UPDATE ON emails, inbox, findings, replays TO mailroom_ingress, mailroom_worker;
GRANT INSERT ON intents TO mailroom_ingress, mailroom_worker;

-- The ingress signs people in, counts failed verifications, and writes what people ask for.
GRANT SELECT, INSERT, UPDATE ON tokens, secret_uses TO mailroom_ingress;
GRANT SELECT, INSERT, UPDATE, DELETE ON sessions, logins, verification_failures TO mailroom_ingress;
GRANT INSERT, UPDATE (key) ON edits TO mailroom_ingress;
GRANT INSERT, UPDATE ON destination_controls TO mailroom_ingress;
-- For reading a raw mail: whether its object was removed meanwhile.
GRANT SELECT ON object_removals TO mailroom_ingress;

-- The worker processes emails, cleans up after them, and reports about destinations.
GRANT DELETE ON inbox TO mailroom_worker;
GRANT UPDATE ON edits TO mailroom_worker;
GRANT INSERT, UPDATE, DELETE ON attachments, email_search, email_search_new, destination_status, gone_destinations,
      worker_reports TO mailroom_worker;
GRANT INSERT, UPDATE ON deliveries, attempts, replay_items, replay_counts, recoveries, reminders, unknown_signals, waits,
      destination_answers TO mailroom_worker;
GRANT INSERT ON message_ids TO mailroom_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON unwanted_objects TO mailroom_worker;
GRANT SELECT, UPDATE ON object_removals TO mailroom_worker;

COMMIT;
