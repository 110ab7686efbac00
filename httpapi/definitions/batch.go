package definitions

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
	"secretsync/httpapi/body"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/header"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/render"
)

// maxOperations is how many definitions one request can change together.
const maxOperations = 100

// Batch makes several operations as one commit, all or none.
func (d *Definitions) Batch(x *exchange.Exchange) (*exchange.Answer, error) {
	text, err := x.Body()
	if err != nil {
		return nil, err
	}
	operations, err := parseBatch(text)
	if err != nil {
		return nil, err
	}
	x.Operations = len(operations)
	all := make([]operation.Operation, len(operations))
	for i, o := range operations {
		all[i] = o.Operation
	}
	written, proposed, err := apply(x, all...)
	switch {
	case err != nil:
		return nil, batchRefusal(x, err, operations)
	case proposed != nil:
		return proposed, nil
	}
	answerBody, warnings := []byte(`{"items":[`), []string(nil)
	for i := range written {
		if i > 0 {
			answerBody = append(answerBody, ',')
		}
		w := &written[i]
		answerBody = render.String(append(answerBody, `{"op":`...), operations[i].op)
		answerBody = render.Name(append(answerBody, `,"name":`...), w.Name)
		answerBody = strconv.AppendInt(append(answerBody, `,"status":`...), int64(operations[i].success), 10)
		if w.Entry != nil {
			status, more := d.standing(x.Tenant.Name, w)
			warnings = append(warnings, more...)
			answerBody = render.String(append(answerBody, `,"etag":`...), header.ETag(w.Entry.Revision))
			answerBody = render.Secret(append(answerBody, `,"secret":`...), w.Entry, &status)
		}
		answerBody = append(answerBody, '}')
	}
	return &exchange.Answer{Status: http.StatusOK, Warnings: warnings, Body: append(answerBody, "]}\n"...)}, nil
}

// batchRefusal names the operation that can't be made, with the status that it
// would have been answered with alone; that is the status of the whole.
func batchRefusal(x *exchange.Exchange, err error, operations []batched) error {
	i := 0
	if failed, ok := errors.AsType[*operation.Error](err); ok {
		i, err = failed.Index, failed.Err
	} else if len(operations) > 1 {
		return err // it is of no operation's making
	}
	o := &operations[i]
	p := *problem.Of(refusal(x, err, o.name))
	if p.Status >= http.StatusInternalServerError {
		return &p
	}
	p.Sentence = fmt.Sprintf("operations[%d] (%s %q) is %d, so none was made: %s", i, o.op, o.name.String(), p.Status, p.Sentence)
	return &p
}

// batched is one operation of a batch.
type batched struct {
	operation.Operation
	op      string
	name    definition.Name
	success int // what it would have been answered with alone
}

// parseBatch reads the body of POST …/secrets:batch.
func parseBatch(text []byte) ([]batched, error) {
	o, err := body.Parse(text)
	if err != nil {
		return nil, err
	}
	if err := o.Only("operations"); err != nil {
		return nil, err
	}
	v, ok := o.Get("operations")
	if !ok {
		return nil, o.Refuse("operations", "is missing; send a list of them")
	}
	list, ok := v.([]any)
	switch {
	case !ok:
		return nil, o.WrongType("operations", v, "a list")
	case len(list) == 0:
		return nil, o.Refuse("operations", "is empty; send at least one")
	case len(list) > maxOperations:
		return nil, o.Refuse("operations", fmt.Sprintf("has %d of them; at most %d are allowed", len(list), maxOperations))
	}
	operations := make([]batched, len(list))
	seen := make(map[definition.Name]int, len(list))
	for i, item := range list {
		member, err := o.Element("operations", i, item, "an object with op and name")
		if err != nil {
			return nil, err
		}
		if operations[i], err = parseOperation(member); err != nil {
			return nil, err
		}
		name := operations[i].name
		if first, ok := seen[name]; ok {
			return nil, member.Refuse("name", fmt.Sprintf("is that of operations[%d], too; one commit changes a definition once", first))
		}
		seen[name] = i
	}
	return operations, nil
}

func parseOperation(o body.Object) (batched, error) {
	op, err := body.Field(o, "op", func(s string) (string, error) {
		switch s {
		case "create", "patch", "delete":
			return s, nil
		}
		return "", &definition.FieldError{Field: "op", Reason: "must be create, patch or delete"}
	})
	if err != nil {
		return batched{}, err
	}
	if op == "create" {
		if o.Has("ifMatch") {
			return batched{}, o.Refuse("ifMatch", "has nothing to match: a definition that is there already is 409 in any case")
		}
		d, err := body.Creation(o, "op")
		return batched{operation.Creation(d), op, d.Name, http.StatusCreated}, err
	}
	name, err := body.Field(o, "name", definition.ParseName)
	if err != nil {
		return batched{}, err
	}
	precondition, err := body.Optional(o, "ifMatch", func(s string) (operation.Precondition, error) {
		precondition, err := header.IfMatch([]string{s})
		if err != nil {
			return precondition, &definition.FieldError{Field: "ifMatch", Reason: `must be what If-Match takes: "*" or a list of entity tags, each in its double quotes`}
		}
		return precondition, nil
	})
	if err != nil {
		return batched{}, err
	}
	if op == "patch" {
		change, err := body.Patch(o, name, "op", "name", "ifMatch")
		return batched{operation.PatchOf(name, precondition, change), op, name, http.StatusOK}, err
	}
	return batched{operation.Deletion(name, precondition), op, name, http.StatusNoContent}, o.Only("op", "name", "ifMatch")
}
