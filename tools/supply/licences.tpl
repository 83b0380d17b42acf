# Licences

What the programs worker, gateway and baton are made of, in addition to Baton (Apache-2.0) and Go's standard library
(BSD-3-Clause). `make licences` writes this file; it takes no other licences than 0BSD, Apache-2.0, BSD-2-Clause,
BSD-3-Clause, ISC and MIT. The texts lie beside the programs, in the folder `licences` of each archive and in
`/licences` of the image. The pages' libraries are those of
[internal/web/assets/vendor](../internal/web/assets/vendor/README.md).

| packages | version | licence |
|---|---|---|
{{- range . }}
| {{ .Name }} | {{ .Version }} | {{ .LicenseName }} |
{{- end }}
| github.com/nexus-rpc/nexus-proto-annotations | v0.1.0 | none stated |

`nexus-proto-annotations` has no licence among its files. It is Temporal's, and part of every program that uses Temporal's API for Go (`go.temporal.io/api`, MIT), which
imports it for the options of its own messages. That API cannot be used without it.
