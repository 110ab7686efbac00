package definition

import (
	"errors"
	"strings"
	"testing"
)

var edits = []struct {
	name, before string
	sync         []Target
	after        string
}{
	{
		name:   "a target is added at the end",
		before: commented,
		sync:   []Target{target("production", "default"), target("production", "backend", "database-credentials"), target("staging", "default")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  # the application
  - cluster: production # east
    namespace: default

  # the backend
  - cluster: production
    namespace: backend # since 2024
    secretName: database-credentials # historical

  - cluster: staging
    namespace: default
# the end
`,
	},
	{
		name:   "a target is added in the middle",
		before: commented,
		sync:   []Target{target("production", "default"), target("staging", "default"), target("production", "backend", "database-credentials")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  # the application
  - cluster: production # east
    namespace: default

  - cluster: staging
    namespace: default

  # the backend
  - cluster: production
    namespace: backend # since 2024
    secretName: database-credentials # historical
# the end
`,
	},
	{
		name:   "a target is added in front",
		before: commented,
		sync:   []Target{target("staging", "default"), target("production", "default"), target("production", "backend", "database-credentials")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  - cluster: staging
    namespace: default

  # the application
  - cluster: production # east
    namespace: default

  # the backend
  - cluster: production
    namespace: backend # since 2024
    secretName: database-credentials # historical
# the end
`,
	},
	{
		name:   "the first target is removed and the comment above it stays",
		before: commented,
		sync:   []Target{target("production", "backend", "database-credentials")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  # the application

  # the backend
  - cluster: production
    namespace: backend # since 2024
    secretName: database-credentials # historical
# the end
`,
	},
	{
		name:   "the last target is removed",
		before: commented,
		sync:   []Target{target("production", "default")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  # the application
  - cluster: production # east
    namespace: default

  # the backend
# the end
`,
	},
	{
		name:   "targets that change places take their comments along",
		before: commented,
		sync:   []Target{target("production", "backend", "database-credentials"), target("production", "default")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  # the backend
  - cluster: production
    namespace: backend # since 2024
    secretName: database-credentials # historical

  # the application
  - cluster: production # east
    namespace: default
# the end
`,
	},
	{
		name:   "a namespace changes in place",
		before: commented,
		sync:   []Target{target("production", "default"), target("production", "backoffice", "database-credentials")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  # the application
  - cluster: production # east
    namespace: default

  # the backend
  - cluster: production
    namespace: backoffice # since 2024
    secretName: database-credentials # historical
# the end
`,
	},
	{
		name:   "a secretName is added",
		before: commented,
		sync:   []Target{target("production", "default", "db"), target("production", "backend", "database-credentials")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  # the application
  - cluster: production # east
    namespace: default
    secretName: db

  # the backend
  - cluster: production
    namespace: backend # since 2024
    secretName: database-credentials # historical
# the end
`,
	},
	{
		name:   "a secretName is taken away",
		before: commented,
		sync:   []Target{target("production", "default"), target("production", "backend")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  # the application
  - cluster: production # east
    namespace: default

  # the backend
  - cluster: production
    namespace: backend # since 2024
# the end
`,
	},
	{
		name:   "every target is removed",
		before: commented,
		sync:   nil,
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: [] # where it goes
  # the application

  # the backend
# the end
`,
	},
	{
		name:   "every target is another",
		before: commented,
		sync:   []Target{target("east", "x"), target("west", "y", "z")},
		after: `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  - cluster: east
    namespace: x

  - cluster: west
    namespace: "y"
    secretName: z

  # the application

  # the backend
# the end
`,
	},

	{
		name: "an absent list is added at the end",
		before: `# top
name: db-password
secretPath: a # where

# the end
`,
		sync: []Target{target("a", "b")},
		after: `# top
name: db-password
secretPath: a # where
sync:
  - cluster: a
    namespace: b

# the end
`,
	},
	{
		name:   "an absent list is added without a line break at the end",
		before: "name: db-password\nsecretPath: a",
		sync:   []Target{target("a", "b")},
		after: `name: db-password
secretPath: a
sync:
  - cluster: a
    namespace: b`,
	},
	{
		name: "an absent list is added in front of the document's end",
		before: `---
secretPath: a
name: db-password
...
`,
		sync: []Target{target("a", "b", "c")},
		after: `---
secretPath: a
name: db-password
sync:
  - cluster: a
    namespace: b
    secretName: c
...
`,
	},
	{
		name: "an empty list becomes a list in the middle",
		before: `name: db-password
sync: [] # none yet
secretPath: a
`,
		sync: []Target{target("a", "b")},
		after: `name: db-password
sync: # none yet
  - cluster: a
    namespace: b
secretPath: a
`,
	},
	{
		name: "a null becomes a list",
		before: `sync: null # none yet
name: db-password
secretPath: a
`,
		sync: []Target{target("a", "b")},
		after: `sync: # none yet
  - cluster: a
    namespace: b
name: db-password
secretPath: a
`,
	},
	{
		name: "nothing becomes a list",
		before: `name: db-password
sync:
  # - cluster: a
  #   namespace: b
secretPath: a
`,
		sync: []Target{target("a", "b")},
		after: `name: db-password
sync:
  - cluster: a
    namespace: b
  # - cluster: a
  #   namespace: b
secretPath: a
`,
	},
	{
		name: "an empty list on the next line becomes a list",
		before: `name: db-password
sync:
  []
secretPath: a
`,
		sync: []Target{target("a", "b")},
		after: `name: db-password
sync:
  - cluster: a
    namespace: b
secretPath: a
`,
	},
	{
		name:   "an empty list at the end without a line break",
		before: "name: db-password\nsecretPath: a\nsync: []",
		sync:   []Target{target("a", "b"), target("c", "d")},
		after: `name: db-password
secretPath: a
sync:
  - cluster: a
    namespace: b
  - cluster: c
    namespace: d`,
	},

	{
		name: "items that are flush with the key",
		before: `name: db-password
sync:
- cluster: a
  namespace: b
secretPath: a
`,
		sync: []Target{target("a", "b"), target("c", "d")},
		after: `name: db-password
sync:
- cluster: a
  namespace: b
- cluster: c
  namespace: d
secretPath: a
`,
	},
	{
		name: "wide indentation",
		before: `name: db-password
secretPath: a
sync:
    -   cluster: a
        namespace: b
`,
		sync: []Target{target("c", "d", "e"), target("a", "b")},
		after: `name: db-password
secretPath: a
sync:
    -   cluster: c
        namespace: d
        secretName: e
    -   cluster: a
        namespace: b
`,
	},
	{
		name: "the dash on a line of its own",
		before: `name: db-password
secretPath: a
sync:
  -
    cluster: a
    namespace: b
`,
		sync: []Target{target("a", "b"), target("c", "d")},
		after: `name: db-password
secretPath: a
sync:
  -
    cluster: a
    namespace: b
  -
    cluster: c
    namespace: d
`,
	},
	{
		name: "fields in another order and quoted",
		before: `name: db-password
secretPath: a
sync:
  - namespace: 'b'
    cluster: "a"
`,
		sync: []Target{target("a", "b"), target("a", "x"), target("c", "d", "e")},
		after: `name: db-password
secretPath: a
sync:
  - namespace: 'b'
    cluster: "a"
  - namespace: 'x'
    cluster: "a"
  - namespace: 'd'
    cluster: "c"
    secretName: "e"
`,
	},
	{
		name: "targets in braces",
		before: `name: db-password
secretPath: a
sync:
  - { cluster: a, namespace: b } # first
  - { cluster: a, namespace: c, secretName: d }
`,
		sync: []Target{target("a", "b", "s"), target("x", "y"), target("a", "c")},
		after: `name: db-password
secretPath: a
sync:
  - { cluster: a, namespace: b, secretName: s } # first
  - { cluster: x, namespace: "y" }
  - { cluster: a, namespace: c }
`,
	},
	{
		name: "blank lines between targets",
		before: `name: db-password
secretPath: a
sync:
  - cluster: a
    namespace: b

  - cluster: c
    namespace: d

# next
`,
		sync: []Target{target("a", "b"), target("e", "f"), target("c", "d"), target("g", "h")},
		after: `name: db-password
secretPath: a
sync:
  - cluster: a
    namespace: b

  - cluster: e
    namespace: f

  - cluster: c
    namespace: d

  - cluster: g
    namespace: h

# next
`,
	},
	{
		name: "a comment indented like the fields stays with the target above",
		before: `name: db-password
secretPath: a
sync:
  - cluster: a
    namespace: b
    # secretName: x
  # of team d
  - cluster: c
    namespace: d
    # secretName: y
# end
`,
		sync: []Target{target("c", "d"), target("a", "b"), target("e", "f")},
		after: `name: db-password
secretPath: a
sync:
  # of team d
  - cluster: c
    namespace: d
    # secretName: y
  - cluster: a
    namespace: b
    # secretName: x
  - cluster: e
    namespace: f
# end
`,
	},
	{
		name:   "Windows line ends",
		before: "name: db-password\r\nsecretPath: a\r\nsync:\r\n  - cluster: a\r\n    namespace: b\r\n",
		sync:   []Target{target("a", "b", "s"), target("c", "d")},
		after:  "name: db-password\r\nsecretPath: a\r\nsync:\r\n  - cluster: a\r\n    namespace: b\r\n    secretName: s\r\n  - cluster: c\r\n    namespace: d\r\n",
	},
	{
		name: "no line break at the end",
		before: `name: db-password
secretPath: a
sync:
  - cluster: a
    namespace: b
  - cluster: c
    namespace: d`,
		sync: []Target{target("c", "d"), target("e", "f")},
		after: `name: db-password
secretPath: a
sync:
  - cluster: c
    namespace: d
  - cluster: e
    namespace: f`,
	},
	{
		name: "everything is removed from a file without a line break at the end",
		before: `name: db-password
secretPath: a
sync:
  - cluster: a
    namespace: b`,
		sync:  nil,
		after: "name: db-password\nsecretPath: a\nsync: []",
	},
	{
		name: "a secretName that is the first field is taken away",
		before: `name: db-password
secretPath: a
sync:
  - secretName: s # why
    cluster: a # c
    namespace: b
`,
		sync: []Target{target("a", "b")},
		after: `name: db-password
secretPath: a
sync:
  - cluster: a # c
    namespace: b
`,
	},
	{
		name: "a secretName in the middle is taken away",
		before: `name: db-password
secretPath: a
sync:
  - cluster: a # c
    secretName: s # why
    namespace: b
`,
		sync: []Target{target("a", "b")},
		after: `name: db-password
secretPath: a
sync:
  - cluster: a # c
    namespace: b
`,
	},

	{
		name: "a list in brackets grows",
		before: `name: db-password
sync: [{cluster: a, namespace: b}] # one
secretPath: a
`,
		sync: []Target{target("a", "b"), target("c", "d", "e")},
		after: `name: db-password
sync: [{cluster: a, namespace: b}, {cluster: c, namespace: d, secretName: e}] # one
secretPath: a
`,
	},
	{
		name: "a list in brackets shrinks",
		before: `name: db-password
sync: [ {cluster: a, namespace: b}, {cluster: c, namespace: d} ]
secretPath: a
`,
		sync: []Target{target("c", "d")},
		after: `name: db-password
sync: [ {cluster: c, namespace: d} ]
secretPath: a
`,
	},
	{
		name: "a list in brackets is emptied",
		before: `name: db-password
sync: [ {cluster: a, namespace: b}, {cluster: c, namespace: d}, ] # c
secretPath: a
`,
		sync: nil,
		after: `name: db-password
sync: [] # c
secretPath: a
`,
	},
	{
		name: "a list in brackets over several lines",
		before: `name: db-password
sync: [
  # first
  {cluster: a, namespace: b}, # 1
  {cluster: c, namespace: d} # 2
]
secretPath: a
`,
		sync: []Target{target("c", "d"), target("e", "f"), target("a", "b")},
		after: `name: db-password
sync: [
  {cluster: c, namespace: d}, # 2
  {cluster: e, namespace: f},
  # first
  {cluster: a, namespace: b} # 1
]
secretPath: a
`,
	},
	{
		name: "brackets and targets that share lines",
		before: `name: db-password
sync: [{cluster: a, namespace: b}, # 1
  {cluster: c, namespace: d}] # 2
secretPath: a
`,
		sync: []Target{target("c", "d")},
		after: `name: db-password
sync: [{cluster: c, namespace: d} # 1
  ] # 2
secretPath: a
`,
	},
	{
		name: "commas in front",
		before: `name: db-password
sync: [
    {cluster: a, namespace: b}
  , {cluster: c, namespace: d} # 2
  ]
secretPath: a
`,
		sync: []Target{target("c", "d"), target("a", "b"), target("a", "f")},
		after: `name: db-password
sync: [
    {cluster: c, namespace: d}
  , {cluster: a, namespace: b}, {cluster: a, namespace: f} # 2
  ]
secretPath: a
`,
	},
	{
		name:   "a comment that touches the brackets",
		before: "name: db-password\nsync: []# none yet\nsecretPath: a\n",
		sync:   []Target{target("a", "b")},
		after:  "name: db-password\nsync: # none yet\n  - cluster: a\n    namespace: b\nsecretPath: a\n",
	},
	{
		name:   "a last comma on a line of its own",
		before: "name: db-password\nsync: [\n  {cluster: a, namespace: b} # 1\n  ,\n]\nsecretPath: a\n",
		sync:   nil,
		after:  "name: db-password\nsync: [ # 1\n  \n]\nsecretPath: a\n",
	},
	{
		name:   "JSON on one line stays JSON",
		before: `{"name": "db-password", "secretPath": "a"}` + "\n",
		sync:   []Target{target("a", "b"), target("c", "d", "e")},
		after:  "{\"name\": \"db-password\", \"secretPath\": \"a\", \"sync\": [{\"cluster\": \"a\", \"namespace\": \"b\"}, {\"cluster\": \"c\", \"namespace\": \"d\", \"secretName\": \"e\"}]}\n",
	},
	{
		name: "JSON over several lines gets a line",
		before: `{
  "name": "db-password",
  "secretPath": "a"
}
`,
		sync: []Target{target("a", "b")},
		after: `{
  "name": "db-password",
  "secretPath": "a",
  "sync": [{"cluster": "a", "namespace": "b"}]
}
`,
	},
	{
		name: "JSON with an empty list",
		before: `{
  "name": "db-password",
  "sync": [],
  "secretPath": "a"
}
`,
		sync: []Target{target("a", "b")},
		after: `{
  "name": "db-password",
  "sync": [{"cluster": "a", "namespace": "b"}],
  "secretPath": "a"
}
`,
	},
	{
		name: "JSON with targets over several lines",
		before: `{
  "name": "db-password",
  "sync": [
    {
      "cluster": "a",
      "namespace": "b"
    }
  ],
  "secretPath": "a"
}
`,
		sync: []Target{target("c", "d", "e"), target("a", "b")},
		after: `{
  "name": "db-password",
  "sync": [
    {
      "cluster": "c",
      "namespace": "d",
      "secretName": "e"
    },
    {
      "cluster": "a",
      "namespace": "b"
    }
  ],
  "secretPath": "a"
}
`,
	},
}

const commented = `# Owned by payments. Rotated quarterly.
name: db-password # never rename

secretPath: "production/db-password" # in the vault
sync: # where it goes
  # the application
  - cluster: production # east
    namespace: default

  # the backend
  - cluster: production
    namespace: backend # since 2024
    secretName: database-credentials # historical
# the end
`

func TestEditSync(t *testing.T) {
	for _, c := range edits {
		t.Run(c.name, func(t *testing.T) {
			got, err := Edit([]byte(c.before), c.sync)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.after {
				t.Errorf("got\n%s\nwant\n%s", got, c.after)
			}
		})
	}
}

func TestEditSyncWithTheSameListReturnsTheSameBytes(t *testing.T) {
	for _, c := range wellFormed {
		d, err := Parse("secrets/db-password.yaml", []byte(c.content))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Edit([]byte(c.content), d.Sync)
		if err != nil || string(got) != c.content {
			t.Errorf("%s: %v, %q became %q", c.name, err, c.content, got)
		}
	}
}

func TestEditSyncOfAnInvalidFileSaysWhatIsWrong(t *testing.T) {
	_, err := Edit([]byte("name: db-password\n"), nil)
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestEditSyncRefusesAFileThatWouldOutgrowTheLimit(t *testing.T) {
	full := ok + "#" + strings.Repeat("x", MaxFileSize-len(ok)-1)
	_, err := Edit([]byte(full), []Target{target("a", "b")})
	if _, ok := errors.AsType[*SizeError](err); !ok {
		t.Errorf("got %v", err)
	}
}

// Every edit of the table has to come from the fine edit: the plain one, which
// drops comments within the list, is for layouts that nobody has thought of.
func TestTheFineEditFitsEveryLayout(t *testing.T) {
	for _, c := range edits {
		p := &parser{}
		f := p.parse([]byte(c.before))
		want := f.definition
		want.Sync = c.sync
		if fine := f.withSync(c.sync); !holds(fine, want) {
			t.Errorf("%s: got\n%s", c.name, fine)
		}
		if plain := f.withPlainSync(c.sync); !holds(plain, want) {
			t.Errorf("%s: the plain edit has\n%s", c.name, plain)
		}
	}
}
