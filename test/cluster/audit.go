package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// auditPolicy logs every request once: an ordinary one when it is answered, a
// watch when it begins and again when it ends.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages:
- RequestReceived
rules:
- level: Metadata
`

// auditFlags turn the audit log on. The log is written before the answer is
// sent, so that a caller who has the answer finds the line.
func (c *Cluster) auditFlags() ([]string, error) {
	policy := filepath.Join(c.Dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, fmt.Errorf("write the audit policy: %w", err)
	}
	c.AuditLog = filepath.Join(c.Dir, "audit.log")
	return []string{
		"--audit-policy-file=" + policy,
		"--audit-log-path=" + c.AuditLog,
		"--audit-log-mode=blocking-strict",
	}, nil
}

// Request is one line of the audit log.
type Request struct {
	Time      time.Time // when the API server received it
	Stage     string    // ResponseComplete, or ResponseStarted for a watch that began
	User      string    // "admin", "system:serviceaccount:<namespace>:<name>", …
	UserAgent string
	Verb      string // get, list, watch, create, update, patch, delete, deletecollection
	URI       string // with its query
	Resource  string // as RBAC has it: "services/status", "ingresses.networking.k8s.io"; "" for what is none
	Code      int    // of the answer
}

// Requests reads the audit log: every request so far, by everyone, oldest
// answer first. It needs Options.Audit.
func (c *Cluster) Requests() ([]Request, error) {
	if c.AuditLog == "" {
		return nil, fmt.Errorf("the cluster was started without Options.Audit")
	}
	log, err := os.ReadFile(c.AuditLog)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	var requests []Request
	for line := range bytes.Lines(log) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		var event struct {
			Stage                    string
			RequestURI               string
			Verb                     string
			UserAgent                string
			RequestReceivedTimestamp time.Time
			User                     struct{ Username string }
			ObjectRef                struct{ APIGroup, Resource, Subresource string }
			ResponseStatus           struct{ Code int }
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("decode the audit log: %w", err)
		}
		resource := event.ObjectRef.Resource
		if group := event.ObjectRef.APIGroup; group != "" {
			resource += "." + group
		}
		if subresource := event.ObjectRef.Subresource; subresource != "" {
			resource += "/" + subresource
		}
		requests = append(requests, Request{
			Time:      event.RequestReceivedTimestamp,
			Stage:     event.Stage,
			User:      event.User.Username,
			UserAgent: event.UserAgent,
			Verb:      event.Verb,
			URI:       event.RequestURI,
			Resource:  resource,
			Code:      event.ResponseStatus.Code,
		})
	}
	return requests, nil
}
