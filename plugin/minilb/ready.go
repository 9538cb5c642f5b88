package minilb

// Ready implements the ready.Readiness interface. It is true from the first full
// synchronisation on, also while the API server is away (D70, D78).
func (m *Minilb) Ready() bool { return m.index.Synced() }
