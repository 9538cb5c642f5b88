//go:build linux

package realcluster_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// tokenSeconds is the shortest lifetime of a token that Kubernetes allows. The kubelet renews it after 480 seconds, and
// what it does for a pod it does every 90 seconds at the latest. client-go reads the file each minute.
const tokenSeconds = 600

// shortTokens gives the base's pods tokens of that lifetime, in the place of those that the API server adds.
func shortTokens() (string, error) {
	patch := `
- patch: |
    apiVersion: apps/v1
    kind: %s
    metadata: {name: %s, namespace: minilb}
    spec:
      template:
        spec:
          containers:
          - name: %s
            volumeMounts: [{name: short-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}]
          volumes:
          - name: short-token
            projected:
              sources:
              - serviceAccountToken: {path: token, expirationSeconds: ` + fmt.Sprint(tokenSeconds) + `}
              - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
              - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
`
	return shipped.Overlay(base+"patches:"+fmt.Sprintf(patch, "DaemonSet", "minilb-dns", "coredns")+
		fmt.Sprintf(patch, "Deployment", "minilb-controller", "controller")[1:], nil)
}

// podToken is what a token of a pod says.
type podToken struct {
	raw        string
	Subject    string `json:"sub"`
	Issued     int64  `json:"iat"`
	Expires    int64  `json:"exp"`
	Kubernetes struct {
		Pod struct{ Name string }
	} `json:"kubernetes.io"`
}

// tokenOf reads the token that the kubelet has written for a pod.
func tokenOf(t *testing.T, l *realcluster.Lab, pod *corev1.Pod) (token podToken) {
	t.Helper()
	path := "/var/lib/kubelet/pods/" + string(pod.UID) + "/volumes/kubernetes.io~projected/*/token"
	raw, err := nodeOf(t, l, pod).Run(t.Context(), "cat", path)
	harness.Must(t, err)
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("%s has the token %q", pod.Name, raw)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	harness.Must(t, err)
	harness.Must(t, json.Unmarshal(payload, &token))
	token.raw = raw
	return token
}

// The pods' tokens are those that the kubelet projects: for the pod, for as long as was asked, read by the servers' user.
func testTokens(t *testing.T, l *realcluster.Lab) {
	for _, pod := range ours(t, l) {
		token := tokenOf(t, l, &pod)
		account := "system:serviceaccount:minilb:" + pod.Spec.ServiceAccountName
		if token.Subject != account || token.Kubernetes.Pod.Name != pod.Name || token.Expires-token.Issued != tokenSeconds {
			t.Errorf("%s has a token of %q for pod %q, from %d to %d", pod.Name, token.Subject, token.Kubernetes.Pod.Name, token.Issued, token.Expires)
		}
	}
}

// Servers and controller go on once the tokens that they had are refused: with new ones, as all watches begin anew.
func testTokensRenewed(t *testing.T, l *realcluster.Lab) {
	pods := ours(t, l)
	old := map[types.UID]podToken{}
	var last int64
	for _, pod := range pods {
		token := tokenOf(t, l, &pod)
		old[pod.UID], last = token, max(last, token.Expires)
	}
	time.Sleep(time.Until(time.Unix(last, 0)))
	for _, token := range old {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.raw}}
		cluster.Eventually(t, readyTimeout, func() error { // a minute later, as clocks differ
			got, err := l.Cluster.Client.AuthenticationV1().TokenReviews().Create(t.Context(), review, metav1.CreateOptions{})
			if err == nil && got.Status.Authenticated {
				err = errors.New("the API server accepts the first token still")
			}
			return err
		})
	}
	for _, pod := range pods {
		if now := tokenOf(t, l, &pod); now.Issued <= old[pod.UID].Issued {
			t.Errorf("%s has the same token", pod.Name)
		}
	}

	harness.Must(t, l.Cluster.StopAPIServer())
	harness.Must(t, l.Cluster.StartAPIServer(t.Context()))
	with(t, l, exposedService("renewed"))
	harness.ExpectStatus(t, l.Cluster, "default", "renewed", "renewed.default.minilb")
	do(t, l, "kubectl scale deployment web --replicas 2")
	answersWith(t, l, 2)
	do(t, l, "kubectl scale deployment web --replicas 3")
	answersWith(t, l, 3)
	for _, pod := range ours(t, l) {
		if _, same := old[pod.UID]; !same || pod.Status.ContainerStatuses[0].RestartCount > 0 {
			t.Errorf("%s was started anew", pod.Name)
		}
		if log := l.PodLog(&pod); strings.Contains(strings.ToLower(log), "unauthorized") {
			t.Errorf("%s says\n%s", pod.Name, log)
		}
	}
}
