package endpoint

import (
	"slices"

	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// binding returns the HTTPS record, nil unless all sets of ports that endpoints have agree on where the port is served. If that
// is not 443, a Service with a port 80 has none: Chromium would go to https, but not to that port, so that a page breaks
// which worked over http (D50).
func (u *Usable) binding(h *object.HTTPS) *records.SvcParams {
	if h == nil {
		return nil
	}
	number, has := uint16(0), u.having()
	for i, set := range u.ports {
		if !has[i] {
			continue
		}
		at := slices.IndexFunc(set, func(p object.Port) bool { return p.Proto == "_tcp" && p.Service == h.Port })
		if at < 0 || number != 0 && number != set[at].Number {
			return nil
		}
		number = set[at].Number
	}
	if number == 0 || number != object.HttpsPort && h.HasHTTP {
		return nil
	}
	return &records.SvcParams{Port: number, ALPN: h.ALPN}
}
