// Package sqldb runs transactions on SQLite and on PostgreSQL, with the same SQL for both. It retries what concurrent
// transactions and lost connections undo, locks rows, notifies other processes, reads lists by pages, and encrypts
// columns. It has no tables of its own: a [Schema] names those of the program.
//
// On SQLite one transaction writes at a time. On PostgreSQL a transaction writes alone or beside others ([DB.Write]);
// one that writes beside others must lock the rows on which it bases its decisions. Queries have numbered placeholders
// ($1). Times are stored as UTC microseconds ([Micros], [Instant]) and booleans as 0 and 1 ([Flag]).
package sqldb
