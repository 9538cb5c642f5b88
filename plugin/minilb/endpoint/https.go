package endpoint

import (
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// binding returns the HTTPS record, nil unless all sets of ports that endpoints have agree on where the port is served. If that
// is not 443, a Service with a port 80 has none: Chromium would go to https, but not to that port, so that a page breaks
// which worked over http (D50).
func binding(h *object.HTTPS, sets [][]object.Port) *records.SvcParams {
	if h == nil {
		return nil
	}
	number := uint16(0)
	for _, set := range sets {
		own := uint16(0)
		for _, p := range set {
			if p.Proto == "_tcp" && p.Service == h.Port {
				own = p.Number
			}
		}
		if own == 0 || number != 0 && number != own {
			return nil
		}
		number = own
	}
	if number == 0 || number != object.HttpsPort && h.HasHTTP {
		return nil
	}
	return &records.SvcParams{Port: number, ALPN: h.ALPN}
}
