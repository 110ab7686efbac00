package console

import "time"

// What the pages read of the contract's answers.

type secret struct {
	Name            string     `json:"name"`
	SecretPath      string     `json:"secretPath"`
	Sync            []target   `json:"sync"`
	Status          status     `json:"status"`
	ResourceVersion string     `json:"resourceVersion"`
	CreatedAt       *time.Time `json:"createdAt"`
}

type target struct {
	Cluster    string `json:"cluster"`
	Namespace  string `json:"namespace,omitempty"`
	SecretName string `json:"secretName,omitempty"`
}

type status struct {
	Phase        string         `json:"phase"`
	Conditions   []condition    `json:"conditions"`
	SyncStatuses []targetStatus `json:"syncStatuses"`
}

type condition struct {
	Type               string     `json:"type"`
	Status             string     `json:"status"`
	Reason             string     `json:"reason"`
	Message            string     `json:"message"`
	LastTransitionTime *time.Time `json:"lastTransitionTime"`
}

type targetStatus struct {
	Cluster      string     `json:"cluster"`
	Namespace    string     `json:"namespace"`
	SecretName   string     `json:"secretName"`
	State        string     `json:"state"`
	Reason       string     `json:"reason"`
	Message      string     `json:"message"`
	LastSyncTime *time.Time `json:"lastSyncTime"`
	VaultVersion *int       `json:"vaultVersion"`
	// VaultVersions are those of all paths, where there are several.
	VaultVersions map[string]int `json:"vaultVersions"`
	Commit        string         `json:"commit"`
}

type commit struct {
	SHA     string    `json:"sha"`
	Time    time.Time `json:"time"`
	Author  string    `json:"author"`
	Message string    `json:"message"`
	Via     string    `json:"via"`
}

type history struct {
	Items []commit `json:"items"`
	Next  string   `json:"next"`
}

type moment struct {
	Time    time.Time `json:"time"`
	Phase   string    `json:"phase"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
}

type file struct {
	Path    string `json:"path"`
	Commit  string `json:"commit"`
	Content string `json:"content"`
}

type tenant struct {
	Name            string     `json:"name"`
	DisplayName     string     `json:"displayName"`
	ResourceVersion string     `json:"resourceVersion"`
	CreatedAt       *time.Time `json:"createdAt"`
	Repository      *struct {
		URL       string     `json:"url"`
		FetchedAt *time.Time `json:"fetchedAt"`
		Problem   string     `json:"problem"`
	} `json:"repository"`
	Status struct {
		Phase    string   `json:"phase"`
		Problems []string `json:"problems"`
	} `json:"status"`
}

type cluster struct {
	Name   string `json:"name"`
	Status struct {
		Phase             string `json:"phase"`
		KubernetesVersion string `json:"kubernetesVersion"`
	} `json:"status"`
}

type apiKey struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	Role        string `json:"role"`
	CreatedBy   string `json:"createdBy"`
	// CreatedByKey is the id of the key that made it; empty for keys of the
	// configuration, which are revoked there. The name in CreatedBy anybody may choose.
	CreatedByKey string     `json:"createdByKey"`
	CreatedAt    *time.Time `json:"createdAt"`
	LastUsedAt   *time.Time `json:"lastUsedAt"`
	ExpiresAt    *time.Time `json:"expiresAt"`
	Key          string     `json:"key"`
}

type orphan struct {
	Cluster    string   `json:"cluster"`
	Namespace  string   `json:"namespace"`
	SecretName string   `json:"secretName"`
	Definition string   `json:"definition"`
	SecretPath string   `json:"secretPath"`
	Commit     string   `json:"commit"`
	Keys       []string `json:"keys"` // of a shared Secret; nil: all of it
	Doubt      string   `json:"doubt"`
}

// deletions are those that are held because they are too many at once.
type deletions struct {
	ID      string     `json:"id"` // of the list as it is; empty: none is held
	Reason  string     `json:"reason"`
	Since   *time.Time `json:"since"`
	Allowed int        `json:"allowed"`
	Held    []orphan   `json:"held"`
}

type proposal struct {
	Number     int        `json:"number"`
	Title      string     `json:"title"`
	URL        string     `json:"url"`
	State      string     `json:"state"`
	ProposedAt *time.Time `json:"proposedAt"`
	ProposedBy *struct {
		Name string `json:"name"`
	} `json:"proposedBy"`
}

type plan struct {
	Steps []struct {
		Action     string `json:"action"`
		Cluster    string `json:"cluster"`
		Namespace  string `json:"namespace"`
		Secret     string `json:"secretName"`
		Definition string `json:"definition"`
		Why        string `json:"why"`
		Held       *struct {
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"held"`
	} `json:"steps"`
	Problems []planProblem `json:"problems"`
}

type planProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Level   string `json:"level"`
	Message string `json:"message"`
	Known   bool   `json:"known"`
}
