-- Triggers of the service append with the rights of its statements. The relay goes forward,
-- deletes what is old, and gives other places to events after a restore.
GRANT SELECT, INSERT, UPDATE, DELETE ON souk_events TO runtime;
GRANT SELECT, UPDATE ON souk_events_relay TO runtime;
