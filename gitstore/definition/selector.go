package definition

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	kjson "sigs.k8s.io/json"
)

// ParseSelector parses a selector of namespaces from the JSON of a Kubernetes
// LabelSelector. One that selects everything is refused: it is more likely a
// mistake. A failure matches [ErrInvalid].
func ParseSelector(text []byte) (Selector, error) {
	var s metav1.LabelSelector
	// Kubernetes' own reader, since that of the standard library takes a name in
	// capital letters for another one's, and two for one.
	if problems, err := kjson.UnmarshalStrict(text, &s); err != nil || len(problems) > 0 {
		return Selector{}, invalid("namespaceSelector", "has matchLabels, a mapping of texts, and matchExpressions, a list of {key, operator, values}, as in Kubernetes, and nothing else")
	}
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return Selector{}, invalid("namespaceSelector", "selects every namespace; give it matchLabels or matchExpressions")
	}
	if _, err := metav1.LabelSelectorAsSelector(&s); err != nil {
		return Selector{}, invalid("namespaceSelector", "is not valid: "+Shorten(err.Error()))
	}
	canonical, err := json.Marshal(s)
	if err != nil {
		return Selector{}, invalid("namespaceSelector", "can't be written")
	}
	return Selector{selected(canonical)}, nil
}

func selected(canonical []byte) text { return text{string(canonical)} }

// Compile returns what tells whether labels match; nothing matches a zero Selector.
func (s Selector) Compile() labels.Selector {
	var parsed metav1.LabelSelector
	if s.IsZero() || json.Unmarshal([]byte(s.s), &parsed) != nil {
		return labels.Nothing()
	}
	compiled, err := metav1.LabelSelectorAsSelector(&parsed)
	if err != nil {
		return labels.Nothing() // it was checked when it was parsed
	}
	return compiled
}

// String is the selector as Kubernetes writes it on one line, such as
// team=payments.
func (s Selector) String() string {
	if s.IsZero() {
		return ""
	}
	return s.Compile().String()
}

// JSON is the selector as a LabelSelector.
func (s Selector) JSON() json.RawMessage { return json.RawMessage(s.s) }
