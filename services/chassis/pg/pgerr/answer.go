package pgerr

// Answer is what an error of the server asks for.
type Answer int

const (
	// Away means that the database is unavailable: the caller is answered UNAVAILABLE
	// and may try later. What no rule knows is this, because a code that is new says
	// nothing about the caller.
	Away Answer = iota
	// Again means that the transaction happened not at all and may succeed when it is
	// run again from its start.
	Again
	// Fault means that the statement or its values are wrong: the caller's fault or
	// the program's. The same statement fails again.
	Fault
)

func (a Answer) String() string { return [...]string{"away", "again", "fault"}[a] }

// classes are the answers by class, the first two characters of a SQLSTATE
// (PostgreSQL's errcodes, appendix A of its manual). A class that is not here is
// Away: 08 connection, 28 authorization, 3D no such database, 53 resources, 55
// object state (lock_timeout), 57 operator, 58 system, F0, HV and XX.
var classes = map[string]Answer{
	"00": Fault, "01": Fault, "02": Fault, "03": Fault, "09": Fault, "0A": Fault, "0B": Fault, "0F": Fault, "0L": Fault,
	"0P": Fault, "0Z": Fault, "20": Fault, "21": Fault, "22": Fault, "23": Fault, "24": Fault,
	"25": Fault, "26": Again, "27": Fault, "2B": Fault, "2D": Fault, "2F": Fault, "34": Fault, "38": Fault, "39": Fault,
	"3B": Fault, "3F": Fault, "40": Again, "42": Fault, "44": Fault, "54": Fault, "72": Again, "P0": Fault,
}

// exceptions answer otherwise than their class.
var exceptions = map[string]Answer{
	"25006":   Away,  // read_only_sql_transaction: a standby, or a server set read-only
	"25P03":   Away,  // idle_in_transaction_session_timeout
	"25P04":   Away,  // transaction_timeout
	"40003":   Away,  // statement_completion_unknown: it may have happened
	"42501":   Away,  // insufficient_privilege: a role without its grants
	wrongCell: Fault, // of Souk itself
}

// Of returns the answer to a SQLSTATE.
func Of(code string) Answer {
	if a, ok := exceptions[code]; ok {
		return a
	}
	if len(code) != 5 {
		return Away
	}
	return classes[code[:2]]
}
