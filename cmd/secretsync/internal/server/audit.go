package server

import (
	"os"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/exchange"
)

// mostChanges bounds the names that one line of the audit stream lists.
const mostChanges = 20

// openAudit opens the audit stream, if there is to be one; else p.audit stays nil, which
// records nothing.
func (p *Program) openAudit(cfg *config.Config) (err error) {
	if cfg.Audit.IsZero() {
		return nil
	}
	to := audit.Config{File: cfg.Audit.File, Log: p.log, Meter: p.registry}
	if cfg.Audit.Stdout {
		to.Stream = os.Stdout
	}
	p.audit, err = audit.Open(to)
	return err
}

// auditor is the audit stream as the API takes it.
func (p *Program) auditor() exchange.Auditor {
	if p.audit == nil {
		return nil
	}
	return p.audit
}

// auditSnapshots is told of every commit that comes in force.
func (p *Program) auditSnapshots() func(gitstore.TenantName, *catalog.Snapshot, *catalog.Snapshot) {
	if p.audit == nil {
		return nil
	}
	return func(tenant gitstore.TenantName, before, after *catalog.Snapshot) {
		e := audit.Event{Kind: audit.DefinitionsChanged, Tenant: tenant.String(), Commit: after.Head().String()}
		var names []string
		if before.Read() {
			e.Previous = before.Head().String()
			for _, c := range catalog.Diff(before, after) {
				names = append(names, c.Name.String())
			}
		} else {
			e.More = len(after.Entries()) // of which none need have changed
		}
		if !after.Head().IsZero() || e.Previous != "" {
			list(&e, names)
			p.audit.Record(e)
		}
	}
}

// auditValues is told of every value that is read.
func (p *Program) auditValues() func(gitstore.TenantName, string, int) {
	if p.audit == nil {
		return nil
	}
	return func(tenant gitstore.TenantName, path string, version int) {
		p.audit.Record(audit.Event{Kind: audit.ValueRead, Tenant: tenant.String(), Path: path, Version: version})
	}
}

// auditChanges records that another configuration is in force.
func (p *Program) auditChanges(changes []string) {
	e := audit.Event{Kind: audit.ConfigurationChanged}
	list(&e, changes)
	p.audit.Record(e)
}

// list has an event name what changed, as far as there is room.
func list(e *audit.Event, names []string) {
	e.Changed = names[:min(len(names), mostChanges)]
	e.More += len(names) - len(e.Changed)
}
