// Package unprivileged lets tests that run as root meet the permissions of files, which do not bind root.
package unprivileged
