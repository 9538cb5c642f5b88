package corefile

import (
	"context"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/minilb/minilb/cmd/minilb/access"
)

// trusted returns the workloads to which an administrator has given the permissions of a DNS server: those whose account may
// list the Services of all namespaces, or else, where there is none, those of all that the Corefile names.
func trusted(ctx context.Context, client kubernetes.Interface, all []mounted) ([]mounted, error) {
	var servers []mounted
	for _, m := range all {
		may, err := m.lists(ctx, client, metav1.NamespaceAll)
		if err != nil {
			return nil, err
		}
		if may {
			servers = append(servers, m)
		}
	}
	if servers != nil {
		return servers, nil
	}
	var unknown error
	for _, m := range all {
		switch may, err := m.listsNamed(ctx, client); {
		case err != nil:
			unknown = err
		case may:
			servers = append(servers, m)
		}
	}
	if servers != nil {
		return servers, nil
	}
	return nil, unknown
}

// listsNamed reports whether the account may list the Services of all namespaces that the Corefile names. One must be
// another than its own, in which a tenant can grant it.
func (m *mounted) listsNamed(ctx context.Context, client kubernetes.Interface) (bool, error) {
	found, err := m.read(ctx, client)
	if err != nil {
		return false, err
	}
	others := false
	for _, s := range found.Corefile.Blocks {
		if len(s.Options.Namespaces) == 0 {
			return false, nil
		}
		for _, namespace := range s.Options.Namespaces {
			if may, err := m.lists(ctx, client, namespace); !may {
				return false, err
			}
		}
		others = others || slices.ContainsFunc(s.Options.Namespaces, func(namespace string) bool { return namespace != m.account.Namespace })
	}
	return others, nil
}

func (m *mounted) lists(ctx context.Context, client kubernetes.Interface, namespace string) (bool, error) {
	may, err := access.May(ctx, client, m.account, authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "list", Resource: "services"})
	if err != nil {
		return false, unread("create", "subjectaccessreviews.authorization.k8s.io", err)
	}
	return may, nil
}
