package prereceive

import (
	"encoding/json"
	"fmt"
	"io"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile"
	"secretsync/reconcile/fault"
)

// Rules is what a push is judged by, as it stood when that began.
type Rules struct {
	// Git is the path of the program.
	Git string `json:"git"`
	// Tenant is whose repository it is.
	Tenant string `json:"tenant"`
	// Branch is the branch that is followed, without refs/heads/.
	Branch string `json:"branch"`
	// MayDelete allows to delete it.
	MayDelete bool `json:"mayDelete"`
	// Definitions is how many the tenant may have; zero is the usual limit.
	Definitions int `json:"definitions"`
	// Grants are what it may reach, by the names that definitions use.
	Grants map[string]reconcile.Grant `json:"grants"`

	// AllowedSignersFile and OpenPGPKeysFile list who may sign what is pushed to the
	// branch; with neither nothing has to be signed. Since is a commit that counts
	// with all before it, or empty. See gitstore.Signatures.
	AllowedSignersFile string `json:"allowedSignersFile"`
	OpenPGPKeysFile    string `json:"openPGPKeysFile"`
	Since              string `json:"since"`

	reach reach // that Grants make
}

// reach says of a target why the tenant may not have it, or nil.
type reach interface {
	Admit(definition.Target) *fault.Fault
}

// rulesFile is the number of the file that holds them.
const rulesFile = 3

// Encode returns the rules as the hook reads them.
func (r Rules) Encode() ([]byte, error) { return json.Marshal(r) }

// readRules reads what the server handed over.
func readRules(f io.Reader) (Rules, error) {
	var r Rules
	decoder := json.NewDecoder(f)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return Rules{}, fmt.Errorf("the server's rules can't be read; if it was replaced by a newer one, it must be started anew: %w", err)
	}
	tenant := reconcile.Tenant{Clusters: make(map[definition.ClusterName]reconcile.Grant)}
	var err error
	if tenant.Name, err = gitstore.ParseTenantName(r.Tenant); err != nil {
		return Rules{}, fmt.Errorf("the server's rules: %w", err)
	}
	for name, grant := range r.Grants {
		alias, err := definition.ParseClusterName(name)
		if err != nil {
			return Rules{}, fmt.Errorf("the server's rules: %w", err)
		}
		tenant.Clusters[alias] = grant
	}
	r.reach = tenant.Reach()
	return r, nil
}
