-- What River 0.51 does at run time: jobs, its leader and its queues; it sweeps the
-- notifications, which PostgreSQL's NOTIFY carries.
GRANT SELECT, INSERT, UPDATE, DELETE ON river_job, river_leader, river_queue TO runtime;
GRANT SELECT, DELETE ON river_notification TO runtime;
GRANT SELECT ON river_migration TO runtime;
GRANT USAGE ON SEQUENCE river_job_id_seq TO runtime;
