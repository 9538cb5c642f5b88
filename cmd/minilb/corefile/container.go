package corefile

import (
	"regexp"
	"strings"

	"github.com/coredns/caddy/caddyfile"
	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
)

var (
	// variable is a reference to an environment variable in a Corefile.
	variable = regexp.MustCompile(`\{\$[^}]+\}|\{%.+?%\}`)
	// word is a value that cannot change how a Corefile is parted into words: CoreDNS replaces variables after that.
	word = regexp.MustCompile(`^[^\s"\\{}#$%]+$`)
)

// inContainer returns a Corefile with the values that its container has for variables, and config.UnknownVariable for others, so that
// those of this process are not taken. A file of the container is an error, for the same reason.
func inContainer(name, corefile string, env []corev1.EnvVar) (string, error) {
	values := map[string]string{}
	for _, e := range env {
		values[e.Name] = e.Value // "" if it comes from elsewhere
	}
	corefile = variable.ReplaceAllStringFunc(corefile, func(reference string) string {
		variable := strings.Trim(reference, "{$%}")
		if value := values[variable]; word.MatchString(value) {
			return value
		}
		return config.UnknownVariable(variable)
	})
	tokens := caddyfile.NewDispenser(name, strings.NewReader(corefile))
	snippets := map[string]bool{} // "(name)", and the last zones of server blocks
	before, line, depth := "", 0, 0
	for tokens.Next() {
		switch token := tokens.Val(); {
		case token == "{":
			if depth++; depth == 1 {
				snippets[before] = true
			}
		case token == "}":
			depth--
		case token == "import" && (tokens.Line() > line || before == "{"):
			if tokens.NextArg(); !snippets["("+tokens.Val()+")"] {
				return "", tokens.Errf("import %s: a file of the container cannot be read", config.NameVariables(tokens.Val()))
			}
		}
		before, line = tokens.Val(), tokens.Line()
	}
	return corefile, nil
}
