// Package reasons has the reason and the fix of each problem with a claim, as Events of the controller and minilb check
// report it.
package reasons

import "github.com/minilb/minilb/plugin/minilb/object"

// Reason is a problem as users see it.
type Reason struct {
	Name string // in CamelCase; it never changes
	Fix  string // a clause, "" if the problem's own text has it
}

// OfClaims has the problems of claims. Any other reason is not a problem of the object: the claim counts.
var OfClaims = map[object.Reason]Reason{
	object.ReasonConflict:   {"HostConflict", "choose another host, or have the other claim removed"},
	object.ReasonReserved:   {"HostReserved", "choose a host that lies below the namespace's own name there, or outside of the zone"},
	object.ReasonWithheld:   {"HostReserved", "choose another host, or have the line added"},
	object.ReasonNotAllowed: {"HostNotAllowed", "choose another host, or have the namespace added to the claim line"},
	object.ReasonInvalid:    {"InvalidHost", "correct it, hosts beside it are served"},
	object.ReasonTooMany:    {"TooManyHosts", "remove some, or spread them over more objects and namespaces"},
	object.ReasonAddress:    {"InvalidObject", "have its controller publish an address that clients can reach"},
	object.ReasonUnlisted:   {"InvalidObject", "have its controller publish an address of such a network, or have the network added"},
	object.ReasonALPN:       {"InvalidObject", "list protocols such as h2 and http/1.1, separated by commas"},
	object.ReasonValue:      {"AnnotationIgnored", "correct it, or remove it"},
	object.ReasonEndpoint:   {"InvalidObject", "fix what writes the EndpointSlice"},
	object.ReasonObject:     {"InvalidObject", "correct the field: \"kubectl explain\" describes it"},
	object.ReasonNoTarget:   {"HostNotServed", ""},
	object.ReasonUnread:     {"HostNotServed", ""},
	object.ReasonNotice:     {"HostNotice", ""},
	object.ReasonAnnotation: {"AnnotationIgnored", ""},
}
