// Package archtest keeps the shop's imports running one way: its test reads the
// import graph of the workspace and compares it with one table of rules, which hold
// for a service that is not written yet, too.
package archtest
