package config

// KeyPlace is where the keys that the server makes are kept: API keys, and the key of
// the hash that copies carry.
type KeyPlace int

// The places.
const (
	KeysInFolder     KeyPlace = iota // in dataDir
	KeysInKubernetes                 // in Secrets of the home namespace
)

var keyPlaces = map[string]KeyPlace{"folder": KeysInFolder, "kubernetes": KeysInKubernetes}

// ParseKeyPlace parses "folder" or "kubernetes".
func ParseKeyPlace(s string) (place KeyPlace, known bool) {
	place, known = keyPlaces[s]
	return place, known
}

func (p KeyPlace) String() string {
	if p == KeysInKubernetes {
		return "kubernetes"
	}
	return "folder"
}

type keysFile struct {
	Store string `yaml:"store"`
}

func (d *document) parseKeyPlace(home *Home) KeyPlace {
	if d.Keys.Store == "" {
		return KeysInFolder
	}
	place, known := ParseKeyPlace(d.Keys.Store)
	if !known {
		d.wrong("keys.store", "%.80q is neither folder nor kubernetes", d.Keys.Store)
	}
	if place == KeysInKubernetes && home == nil {
		d.wrong("keys.store", "kubernetes needs home: the cluster and the namespace of the Secrets in which keys are kept")
	}
	return place
}
