package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/body"
	"secretsync/httpapi/header"
	"secretsync/httpapi/render"
)

// maxOperations is how many definitions one request can change together.
const maxOperations = 100

// batchSecrets makes several operations as one commit, all or none.
func (s *Server) batchSecrets(x *exchange) (*answer, error) {
	text, err := x.body()
	if err != nil {
		return nil, err
	}
	operations, err := parseBatch(text)
	if err != nil {
		return nil, err
	}
	x.operations = len(operations)
	all := make([]gitstore.Operation, len(operations))
	for i, o := range operations {
		all[i] = o.Operation
	}
	written, proposed, err := x.apply(all...)
	switch {
	case err != nil:
		return nil, x.batchRefusal(err, operations)
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
			status, more := s.standing(x.tenant.Name, w)
			warnings = append(warnings, more...)
			answerBody = render.String(append(answerBody, `,"etag":`...), header.ETag(w.Entry.Revision))
			answerBody = render.Secret(append(answerBody, `,"secret":`...), w.Entry, &status)
		}
		answerBody = append(answerBody, '}')
	}
	return &answer{status: http.StatusOK, warnings: warn(warnings), body: append(answerBody, "]}\n"...)}, nil
}

// batchRefusal names the operation that can't be made, with the status that it
// would have been answered with alone; that is the status of the whole.
func (x *exchange) batchRefusal(err error, operations []operation) error {
	i := 0
	if failed, ok := errors.AsType[*gitstore.OperationError](err); ok {
		i, err = failed.Index, failed.Err
	} else if len(operations) > 1 {
		return err // it is of no operation's making
	}
	o := &operations[i]
	p := *problemOf(x.refusal(err, o.name))
	if p.status >= http.StatusInternalServerError {
		return &p
	}
	p.sentence = fmt.Sprintf("operations[%d] (%s %q) is %d, so none was made: %s", i, o.op, o.name.String(), p.status, p.sentence)
	return &p
}

// operation is one of a batch.
type operation struct {
	gitstore.Operation
	op      string
	name    definition.Name
	success int // what it would have been answered with alone
}

// parseBatch reads the body of POST …/secrets:batch.
func parseBatch(text []byte) ([]operation, error) {
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
	operations := make([]operation, len(list))
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

func parseOperation(o body.Object) (operation, error) {
	op, err := body.Field(o, "op", func(s string) (string, error) {
		switch s {
		case "create", "patch", "delete":
			return s, nil
		}
		return "", &definition.FieldError{Field: "op", Reason: "must be create, patch or delete"}
	})
	if err != nil {
		return operation{}, err
	}
	if op == "create" {
		if o.Has("ifMatch") {
			return operation{}, o.Refuse("ifMatch", "has nothing to match: a definition that is there already is 409 in any case")
		}
		d, err := body.Creation(o, "op")
		return operation{gitstore.Creation(d), op, d.Name, http.StatusCreated}, err
	}
	name, err := body.Field(o, "name", definition.ParseName)
	if err != nil {
		return operation{}, err
	}
	precondition, err := body.Optional(o, "ifMatch", func(s string) (gitstore.Precondition, error) {
		precondition, err := header.IfMatch([]string{s})
		if err != nil {
			return precondition, &definition.FieldError{Field: "ifMatch", Reason: `must be what If-Match takes: "*" or a list of entity tags, each in its double quotes`}
		}
		return precondition, nil
	})
	if err != nil {
		return operation{}, err
	}
	if op == "patch" {
		change, err := body.Patch(o, name, "op", "name", "ifMatch")
		return operation{gitstore.PatchOf(name, precondition, change), op, name, http.StatusOK}, err
	}
	return operation{gitstore.Deletion(name, precondition), op, name, http.StatusNoContent}, o.Only("op", "name", "ifMatch")
}
