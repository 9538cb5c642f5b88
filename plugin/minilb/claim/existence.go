package claim

import "github.com/minilb/minilb/plugin/minilb/hostname"

// existence counts the names that exist because of claims: claimed hosts and the names above them. Outside the zones a name
// exists for the namespace that has the host (C7b); in a zone for all, where the namespace is "".
type existence struct {
	live    map[inNamespace]int // how many live hosts are at or below a name
	firm    map[string]int      // in zones: how many of these have no claim that leads to other hosts
	leading sets[string, *host] // by name, the hosts at or below it with claims that lead to other hosts
	changed map[string]bool     // names whose entry in one of these has changed
}

type inNamespace struct{ namespace, name string }

func newExistence() existence {
	return existence{live: map[inNamespace]int{}, firm: map[string]int{}, leading: sets[string, *host]{}, changed: map[string]bool{}}
}

// move counts a host by its live claims.
func (x *existence) move(h *host) {
	exists, owner := len(h.live) > 0, ""
	if exists && h.zone == "" {
		owner = h.live[0].Namespace
	}
	if h.exists == exists && h.owner == owner {
		return
	}
	if h.exists {
		x.add(h.name, h.owner, -1)
	}
	if exists {
		x.add(h.name, owner, 1)
	}
	h.exists, h.owner = exists, owner
}

func (x *existence) add(name, namespace string, n int) {
	for ; name != ""; name = hostname.Parent(name) {
		at := inNamespace{namespace, name}
		x.live[at] += n
		switch x.live[at] {
		case 0:
			delete(x.live, at)
			x.changed[name] = true
		case n:
			x.changed[name] = true
		}
	}
}

// place counts a host by its entries. It may have led to others before.
func (x *existence) place(h *host, led bool) {
	firm := 0
	if h.zone != "" && len(h.entries) > 0 && !h.leads {
		firm = 1
	}
	if firm == h.firm && !h.leads && !led {
		return
	}
	for name := h.name; name != ""; name = hostname.Parent(name) {
		x.changed[name] = true
		if x.firm[name] += firm - h.firm; x.firm[name] == 0 {
			delete(x.firm, name)
		}
		switch {
		case h.leads:
			x.leading.add(name, h)
		case led:
			x.leading.remove(name, h)
		}
	}
	h.firm = firm
}
