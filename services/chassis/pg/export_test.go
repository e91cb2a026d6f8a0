package pg

// Wait is the wait of Migrate, for a database that a test takes away and brings back.
var Wait = wait
