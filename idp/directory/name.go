package directory

import "strings"

// Normalise folds a name so that spellings which look the same are the same: trimmed, lower case.
func Normalise(name string) string { return strings.ToLower(strings.TrimSpace(name)) }
