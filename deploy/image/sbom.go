package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx23 "github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
)

// repository is where the source is.
const repository = "https://github.com/minilb/minilb"

// rootsLicence is that of Mozilla's root certificates.
const rootsLicence = "MPL-2.0"

const (
	documentID     = common.ElementID("DOCUMENT")
	certificatesID = common.ElementID("Package-ca-certificates")
)

// bill returns the image's bill of materials as SPDX 2.3 in JSON: the programs, the modules that Go
// has recorded in each, Go's own library, and the certificates.
func (t *tree) bill(platform v1.Platform, binaries []binary, modules []module) ([]byte, error) {
	doc := &spdx.Document{
		SPDXVersion:    spdx23.Version,
		DataLicense:    spdx23.DataLicense,
		SPDXIdentifier: documentID,
		DocumentName:   "minilb " + t.version + " " + platform.String(),
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "github.com/minilb/minilb/deploy/image"}},
			Created:  t.created.Format(time.RFC3339),
		},
	}
	sum := sha256.New()
	for _, binary := range binaries {
		sum.Write(binary.content)
	}
	doc.DocumentNamespace = fmt.Sprintf("%s/sbom/%x", repository, sum.Sum(nil))

	relate := func(a common.ElementID, relationship string, b common.ElementID) {
		doc.Relationships = append(doc.Relationships, &spdx.Relationship{
			RefA: common.MakeDocElementID("", string(a)), Relationship: relationship, RefB: common.MakeDocElementID("", string(b)),
		})
	}
	for _, binary := range binaries {
		id := elementID(binary.name)
		doc.Packages = append(doc.Packages, &spdx.Package{
			PackageName: binary.name, PackageSPDXIdentifier: id, PackageVersion: t.version,
			PackageFileName: "/" + binary.name, PrimaryPackagePurpose: "APPLICATION",
			PackageDownloadLocation: "git+" + repository + "@" + strings.TrimSuffix(t.revision, "+dirty"),
			PackageChecksums:        []common.Checksum{{Algorithm: common.SHA256, Value: fmt.Sprintf("%x", sha256.Sum256(binary.content))}},
			PackageLicenseConcluded: ours, PackageLicenseDeclared: ours, PackageCopyrightText: "NOASSERTION",
		})
		relate(documentID, common.TypeRelationshipDescribe, id)
		for _, dep := range binary.info.Deps {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			relate(id, "STATIC_LINK", elementID(dep.Path))
		}
		relate(id, "STATIC_LINK", elementID(goLibrary))
	}
	for _, m := range modules {
		location, version := "https://proxy.golang.org/"+escape(m.path)+"/@v/"+escape(m.version)+".zip", m.version
		if m.path == goLibrary {
			location, version = "https://go.dev/dl/"+m.version+".src.tar.gz", strings.TrimPrefix(m.version, "go")
		}
		p := &spdx.Package{
			PackageName: m.path, PackageSPDXIdentifier: elementID(m.path), PackageVersion: version,
			PrimaryPackagePurpose: "LIBRARY", PackageDownloadLocation: location,
			PackageLicenseConcluded: m.licence, PackageLicenseDeclared: m.licence, PackageCopyrightText: "NOASSERTION",
			PackageExternalReferences: []*spdx.PackageExternalReference{{
				Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL,
				Locator: "pkg:golang/" + m.path + "@" + version,
			}},
		}
		if m.sum != "" {
			p.PackageComment = "go.sum " + m.sum
		}
		doc.Packages = append(doc.Packages, p)
	}
	doc.Packages = append(doc.Packages, &spdx.Package{
		PackageName: "ca-certificates", PackageSPDXIdentifier: certificatesID, PackageVersion: rootsVersion(),
		PrimaryPackagePurpose: "FILE", PackageFileName: "/etc/ssl/certs/ca-certificates.crt",
		PackageDownloadLocation: "https://pkg.go.dev/" + rootsModule,
		PackageLicenseConcluded: rootsLicence, PackageLicenseDeclared: rootsLicence, PackageCopyrightText: "NOASSERTION",
	})
	relate(documentID, common.TypeRelationshipDescribe, certificatesID)

	if err := spdxlib.ValidateDocument(doc); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err := json.Write(doc, &out, json.Indent(" "), json.EscapeHTML(false))
	return out.Bytes(), err
}

var notInElementID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// elementID returns the identifier of a program or module, of the letters that SPDX allows.
func elementID(name string) common.ElementID {
	return common.ElementID("Package-" + notInElementID.ReplaceAllString(name, "-"))
}

var upper = regexp.MustCompile(`[A-Z]`)

// escape writes a module's path or version as the module proxy has it: "!a" for "A".
func escape(s string) string {
	return upper.ReplaceAllStringFunc(s, func(letter string) string { return "!" + strings.ToLower(letter) })
}
