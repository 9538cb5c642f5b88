package hostname

import "strings"

// Intersect returns the hosts that a listener's hostname and a route's have in common, as one hostname, "" for none that
// could be published. Both are in lower case, and "" is for any host (G30).
func Intersect(listener, route string) string {
	switch {
	case listener == route, route == "":
		return listener
	case listener == "":
		return route
	case Covers(listener, route):
		return route
	case Covers(route, listener):
		return listener
	}
	return ""
}

// Covers reports whether narrow, a name or a wildcard, lies below what follows the asterisk of the wildcard wide.
func Covers(wide, narrow string) bool {
	suffix, wildcard := strings.CutPrefix(wide, "*")
	return wildcard && strings.HasPrefix(suffix, ".") && len(narrow) > len(suffix) && strings.HasSuffix(narrow, suffix)
}

// Matches reports whether a host, in lower case and with or without its final dot, is the name or a
// wildcard that covers it.
func Matches(host, name string) bool {
	host, name = Plain(host), Plain(name)
	return host == name || Covers(host, name)
}
