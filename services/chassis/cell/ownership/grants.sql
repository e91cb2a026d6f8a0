-- Processes look where a bucket is, and their writes note what they touch while it leaves.
GRANT SELECT ON souk_cell, souk_cell_buckets, souk_cell_tables TO runtime;
GRANT SELECT, INSERT ON souk_cell_touched TO runtime;
