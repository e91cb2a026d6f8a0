-- What was made of events may be made anew, and what was noted of it is deleted.
GRANT SELECT, INSERT, UPDATE, DELETE ON souk_consumed TO runtime;
