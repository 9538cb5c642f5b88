package minilb

// Ready implements the ready.Readiness interface. It stays true while the API server is away (D70, D78).
func (m *Minilb) Ready() bool { return m.index.Synced() }
