package object

// Problem is a host that is not served, or not as asked, and why.
type Problem struct {
	Ref    *Ref   `json:",omitzero"`
	Reason Reason `json:",omitzero"` // what it counts as; "" for what is only worth a line in the log
	Host   string `json:",omitzero"` // the canonical host that it is about, "" for several or none
	Text   string `json:",omitzero"` // what is wrong and what follows, without the owner
	Hosts  int    `json:",omitzero"` // how many of its hosts that is about, 0 for one
}

// Reason is the kind of a problem: what follows, and what is to be done, depends on it alone.
type Reason string

// The reasons for which a claim on a host is refused, as the metric claims_rejected counts them.
const (
	ReasonConflict   Reason = "conflict"    // an older claim of another namespace holds the name (C2, C3)
	ReasonReserved   Reason = "reserved"    // the name belongs to the zone's structure (D17), or to nobody: see ReasonWithheld
	ReasonInvalid    Reason = "invalid"     // not a host name
	ReasonNotAllowed Reason = "not_allowed" // no claim line of the Corefile allows it (C6)
	ReasonNoTarget   Reason = "dead"        // nothing stands behind it (M2)
)

// Reasons that count as one of those above, or as none.
const (
	ReasonNotice     Reason = "notice"     // no problem: the host is served, and there is something to know of it
	ReasonTooMany    Reason = "too_many"   // hosts of an object or a namespace
	ReasonAddress    Reason = "address"    // of a status
	ReasonUnlisted   Reason = "unlisted"   // address of a status that the property addresses does not let in (D34)
	ReasonALPN       Reason = "alpn"       // a protocol in the annotation (D51)
	ReasonValue      Reason = "value"      // of an annotation (L2, L3)
	ReasonObject     Reason = "object"     // not as its kind should be
	ReasonEndpoint   Reason = "endpoint"   // of an EndpointSlice
	ReasonWithheld   Reason = "withheld"   // nobody's, unless a claim line says otherwise (C7)
	ReasonUnread     Reason = "unread"     // no target as far as is known: it depends on a kind that cannot be read
	ReasonAnnotation Reason = "annotation" // a label or annotation looks like one of ours and has no effect
)

// Reasons lists all values of the metric claims_rejected.
var Reasons = []string{string(ReasonConflict), string(ReasonReserved), string(ReasonInvalid), string(ReasonNotAllowed), string(ReasonNoTarget)}

// Counted returns the one of Reasons that the metric has for the reason.
func (r Reason) Counted() string {
	switch r {
	case ReasonTooMany, ReasonAddress, ReasonUnlisted, ReasonALPN, ReasonValue, ReasonObject, ReasonEndpoint:
		return string(ReasonInvalid)
	case ReasonWithheld:
		return string(ReasonReserved)
	case ReasonUnread:
		return string(ReasonNoTarget)
	}
	return string(r)
}
