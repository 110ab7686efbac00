package render

import "secretsync/reconcile/status"

// appendRestarts appends how the workloads of a target's restart list stand.
func appendRestarts(b []byte, restarts []status.Restart) []byte {
	b = append(b, '[')
	for i := range restarts {
		if i > 0 {
			b = append(b, ',')
		}
		r := &restarts[i]
		b = String(append(b, `{"workload":`...), r.Workload)
		b = String(append(b, `,"state":`...), string(r.State))
		b = String(append(b, `,"message":`...), r.Message)
		b = Time(append(b, `,"restartedAt":`...), r.Restarted)
		b = append(b, '}')
	}
	return append(b, ']')
}
