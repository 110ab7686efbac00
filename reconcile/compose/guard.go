package compose

import (
	"slices"
	"strconv"
	"text/template/parse"
)

// What text/template does by itself it does without a word of what that costs, and some of
// it costs much: it compares texts, sorts the keys of a dictionary before it goes over them,
// and goes through a loop's body however long that is. So calls are put into a template
// before it is executed:
//
//	what stands there                what is executed              so that
//	{{ .a }}                         {{ written (.a) }}            nothing is not written as a text
//	{{ range .a }}…{{ end }}         {{ range .a | ranged }}       to sort keys counts
//	                                 {{ tick 5 }}…{{ end }}        each round counts, by what is in its body
//	{{ eq .a .b }}, and all          {{ eq (compared .a)           texts that are compared count, and
//	  in comparing                     (compared .b) }}            those that are looked up
//
// The names of these functions are none of those that a definition may call.
const (
	writtenName  = "written"
	rangedName   = "ranged"
	tickName     = "tick"
	comparedName = "compared"
)

// comparing are the functions of text/template that compare what they are given.
var comparing = []string{"eq", "ge", "gt", "index", "le", "lt", "ne"}

// What it costs, in units; to sort a key and to begin a round is like a call.
const (
	costNode  = 16 // of what stands in a loop's body, each time
	costScans = 16 // so many bytes that are compared are a unit
)

// told is how text/template would name what was changed, by where it stands.
type told map[string]string

// guard puts the calls in, and returns how what it changed was written.
func guard(tree *parse.Tree) told {
	g := guarding{tree, make(told)}
	g.list(tree.Root)
	return g.told
}

type guarding struct {
	*parse.Tree
	told told
}

// note keeps how a node is named in errors. The first that stands in a place is the one
// that is known there.
func (g *guarding) note(n parse.Node) {
	where, what := g.ErrorContext(n)
	if _, known := g.told[where]; !known {
		g.told[where] = what
	}
}

// list does so in all nodes of a list, and returns how many there are, with what is in them.
func (g *guarding) list(l *parse.ListNode) (nodes int) {
	if l == nil {
		return 0
	}
	for _, n := range l.Nodes {
		nodes += 1 + g.node(n)
	}
	return nodes
}

func (g *guarding) node(n parse.Node) (nodes int) {
	switch n := n.(type) {
	case *parse.ActionNode:
		nodes = g.pipe(n.Pipe)
		if len(n.Pipe.Decl) == 0 { // it is no assignment
			n.Pipe = g.call(writtenName, n.Pipe)
		}
		return nodes
	case *parse.IfNode:
		return g.pipe(n.Pipe) + g.list(n.List) + g.list(n.ElseList)
	case *parse.WithNode:
		return g.pipe(n.Pipe) + g.list(n.List) + g.list(n.ElseList)
	case *parse.RangeNode:
		nodes = g.pipe(n.Pipe)
		g.note(n.Pipe)
		n.Pipe.Cmds = append(n.Pipe.Cmds, command(rangedName, n.Pipe.Pos))
		body := g.list(n.List)
		n.List.Nodes = slices.Insert(n.List.Nodes, 0, tick(body, n.List.Pos))
		return nodes + body + g.list(n.ElseList)
	}
	return 0
}

// pipe does so in a pipeline.
func (g *guarding) pipe(p *parse.PipeNode) (nodes int) {
	var commands []*parse.CommandNode
	for i, c := range p.Cmds {
		g.note(c)
		name, _ := c.Args[0].(*parse.IdentifierNode)
		compares := name != nil && slices.Contains(comparing, name.Ident)
		if compares && i > 0 { // what comes by the pipeline is compared as well
			commands = append(commands, command(comparedName, c.Pos))
		}
		for j, arg := range c.Args {
			nodes += 1 + g.argument(arg)
			if compares && j > 0 {
				c.Args[j] = g.call(comparedName, arg)
			}
		}
		commands = append(commands, c)
	}
	p.Cmds = commands
	return nodes
}

func (g *guarding) argument(n parse.Node) (nodes int) {
	switch n := n.(type) {
	case *parse.PipeNode:
		return g.pipe(n)
	case *parse.ChainNode:
		return len(n.Field) + g.argument(n.Node)
	case *parse.FieldNode:
		return len(n.Ident)
	case *parse.VariableNode:
		return len(n.Ident)
	}
	return 0
}

// call is that of a function with what a node makes.
func (g *guarding) call(name string, what parse.Node) *parse.PipeNode {
	g.note(what)
	return pipeline(command(name, what.Position(), what))
}

func pipeline(c *parse.CommandNode) *parse.PipeNode {
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: c.Pos, Cmds: []*parse.CommandNode{c}}
}

func command(name string, at parse.Pos, args ...parse.Node) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: append([]parse.Node{parse.NewIdentifier(name).SetPos(at)}, args...)}
}

// tick is the action that is put at the beginning of each loop's body: a loop need neither
// write nor call anything, and a number is all it needs to go on for years.
func tick(body int, at parse.Pos) parse.Node {
	number := &parse.NumberNode{NodeType: parse.NodeNumber, Pos: at, IsInt: true, Int64: int64(body), Text: strconv.Itoa(body)}
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: at, Pipe: pipeline(command(tickName, at, number))}
}
