package minilb

import (
	"context"

	"github.com/coredns/coredns/plugin/metadata"
	"github.com/coredns/coredns/request"

	"github.com/minilb/minilb/plugin/minilb/printable"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// Metadata implements the metadata.Provider interface: the origin of the name, looked up only if it is used.
func (m *Minilb) Metadata(ctx context.Context, state request.Request) context.Context {
	value := func(of func(*records.Node) string) metadata.Func {
		return func() string {
			name := state.Name()
			if result, node := m.index.Lookup(m.index.Zone(name), name); result == records.Found {
				return printable.Line(of(node)) // for the log (M10)
			}
			return ""
		}
	}
	metadata.SetValueFunc(ctx, pluginName+"/namespace", value(func(n *records.Node) string { return n.Namespace }))
	metadata.SetValueFunc(ctx, pluginName+"/service", value(func(n *records.Node) string { return n.Service }))
	metadata.SetValueFunc(ctx, pluginName+"/source", value(func(n *records.Node) string { return n.Source }))
	return ctx
}
