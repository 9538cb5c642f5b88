package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/minilb/minilb/cmd/minilb/wordwrap"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

func (e *explainer) summarize(result records.Result, node *records.Node) {
	switch {
	case result == records.NameError:
		e.Summary = e.unknown()
	case result == records.NoData && e.Name == e.Zone:
		e.Summary = "It is the apex of a zone: it has SOA and NS records, and no addresses."
	case result == records.NoData:
		e.Summary = "It exists because other names stand below it, and has no records of its own: NODATA."
	case result != records.Found:
		e.Summary = "Unknown: Services or EndpointSlices have not been read. The server answers SERVFAIL."
	case node.Target != "":
		e.Summary = fmt.Sprintf("It is an alias of %s, which is not ours: the server looks that up and gives its addresses.", hostname.Plain(node.Target))
	case node.Ports != nil:
		e.Summary = fmt.Sprintf("It is a named port: SRV answers with %s.", wordwrap.Count(len(e.Answer.SRV), "target"))
	case node.Pointers != nil:
		e.Summary = fmt.Sprintf("It is the reverse name of an address: PTR answers with %s.", strings.Join(e.Answer.PTR, " and "))
	case e.Answer.Own:
		e.Summary = "It is answered with the DNS server's own addresses."
	case len(e.Answer.A)+len(e.Answer.AAAA) == 0:
		e.Summary = "It exists and has no address, so that A and AAAA are NODATA: " + e.without() + "."
	default:
		e.Summary = fmt.Sprintf("It is answered with %s and %s.", wordwrap.Count(len(e.Answer.A), "IPv4 address"), wordwrap.Count(len(e.Answer.AAAA), "IPv6 address"))
	}
}

func (e *explainer) unknown() string {
	verdict := "It does not exist: NXDOMAIN. "
	if e.Answer.Rcode == "" {
		verdict = "minilb has no such name and passes it on to the plugin that follows, such as forward. "
	}
	switch {
	case len(e.Claims) > 0:
		return verdict + fmt.Sprintf("It is asked for by %s, of which none counts: see why below.", wordwrap.Count(len(e.Claims), "object"))
	case len(e.Notes) > 0:
		return verdict + "See the notes for why."
	}
	return verdict + "No object asks for it."
}

// without returns why a name that exists has no address.
func (e *explainer) without() string {
	if len(e.Endpoints) == 0 {
		return "its Service has no endpoints, as no pod matches its selector or none has an address yet"
	}
	if slices.ContainsFunc(e.Endpoints, func(at translator.Endpoint) bool { return at.State == object.StateReady }) {
		return "its endpoints are ready, and the families that the server answers with leave them out"
	}
	if len(e.Endpoints) == 1 {
		return "its only endpoint is not ready; kubectl describe of the pod shows which probe fails"
	}
	return fmt.Sprintf("none of its %d endpoints is ready; kubectl describe of a pod shows which probe fails", len(e.Endpoints))
}
