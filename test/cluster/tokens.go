package cluster

import (
	"context"
	"fmt"
	"os"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd/api"
)

// ServiceAccountKubeconfig writes a kubeconfig with a fresh token of a
// ServiceAccount that exists, valid for an hour, and returns the file's path.
// What it may do is up to RBAC, as in a pod of that account.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	token, err := c.ServiceAccountToken(ctx, namespace, name, time.Hour)
	if err != nil {
		return "", err
	}
	return c.TokenKubeconfig(token)
}

// ServiceAccountToken issues a token of a ServiceAccount that exists. The API
// server refuses lifetimes under ten minutes.
func (c *Cluster) ServiceAccountToken(ctx context.Context, namespace, name string, lifetime time.Duration) (string, error) {
	seconds := int64(lifetime / time.Second)
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}
	answer, err := c.Client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("issue a token of serviceaccount %s/%s: %w", namespace, name, err)
	}
	return answer.Status.Token, nil
}

// TokenKubeconfig writes a kubeconfig with any bearer token, valid or not, and
// returns the file's path. Every call makes a new file in Dir.
func (c *Cluster) TokenKubeconfig(token string) (string, error) {
	file, err := os.CreateTemp(c.Dir, "token-*.kubeconfig")
	if err != nil {
		return "", fmt.Errorf("create a kubeconfig: %w", err)
	}
	if err := file.Close(); err != nil {
		return "", fmt.Errorf("create a kubeconfig: %w", err)
	}
	if err := c.writeKubeconfig(file.Name(), &api.AuthInfo{Token: token}); err != nil {
		return "", err
	}
	return file.Name(), nil
}
