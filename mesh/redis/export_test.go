package redis

import "time"

// SetPatience changes how long a connection may be silent.
func (m *Mesh) SetPatience(d time.Duration) { m.patience = d }
