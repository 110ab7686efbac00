package devstack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// auditPolicy logs who did what to which Secret and never what was in it, and all that service accounts asked for.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    resources: [{group: "", resources: [secrets]}]
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
  - level: None
`

// An AuditEvent is one answered request to an API server: about Secrets, or of a service account about anything.
type AuditEvent struct {
	Time      time.Time // when it arrived
	User      string
	Verb      string // get, list, watch, create, update, patch, delete
	Resource  string // secrets, leases, ...; empty: it was about no object
	Namespace string
	Name      string
	Code      int // of the answer
}

// Audited returns the answered requests since the cluster first started, oldest first: those about Secrets, and those of service
// accounts. The stack must have
// been started with Options.Audit. A request that was answered before the call is among them.
func (c *Cluster) Audited() ([]AuditEvent, error) {
	var events []AuditEvent
	err := eachLine(c.auditLog, func(line []byte) error {
		var entry struct {
			RequestReceivedTimestamp time.Time
			Stage, Verb              string
			User                     struct{ Username string }
			ObjectRef                struct{ Resource, Namespace, Name string }
			ResponseStatus           struct{ Code int }
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			return err
		}
		if entry.Stage == "ResponseComplete" || entry.Stage == "ResponseStarted" && entry.Verb == "watch" {
			events = append(events, AuditEvent{
				Time: entry.RequestReceivedTimestamp, User: entry.User.Username, Verb: entry.Verb, Resource: entry.ObjectRef.Resource,
				Namespace: entry.ObjectRef.Namespace, Name: entry.ObjectRef.Name, Code: entry.ResponseStatus.Code,
			})
		}
		return nil
	})
	return events, err
}

// A VaultEvent is one request to Vault.
type VaultEvent struct {
	Time      time.Time
	Operation string // read, list, update …
	Path      string // secret/data/acme/db-password
	Error     string
}

// Audited returns the requests that Vault answered since it first started, oldest first. The stack must have been started
// with Options.Audit.
func (v *Vault) Audited() ([]VaultEvent, error) {
	var events []VaultEvent
	err := eachLine(v.auditLog, func(line []byte) error {
		var entry struct {
			Time    time.Time
			Type    string
			Error   string
			Request struct{ Operation, Path string }
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			return err
		}
		if entry.Type == "response" {
			events = append(events, VaultEvent{entry.Time, entry.Request.Operation, entry.Request.Path, entry.Error})
		}
		return nil
	})
	return events, err
}

func eachLine(path string, handle func([]byte) error) error {
	if path == "" {
		return fmt.Errorf("devstack: nothing is audited: start the stack with Options.Audit")
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("devstack: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := handle(lines.Bytes()); err != nil {
			return fmt.Errorf("devstack: %s: %w", path, err)
		}
	}
	return lines.Err()
}
