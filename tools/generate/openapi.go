package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
)

// describeAPI writes internal/httpapi/openapi.json, and the table of calls in docs/http.md.
func describeAPI(root string) error {
	document := &openapi3.T{
		OpenAPI: "3.0.3",
		Info: &openapi3.Info{
			Title: "Baton", Version: "1",
			Description: "The part of Twilio's Flex, TaskRouter and Conversations APIs that Baton serves. Generated from its routes by `make generate`.",
		},
		Paths: openapi3.NewPaths(),
		Components: &openapi3.Components{
			Schemas: openapi3.Schemas{"error": problemSchema(), "meta": metaSchema()},
			SecuritySchemes: openapi3.SecuritySchemes{
				"basic": &openapi3.SecuritySchemeRef{Value: &openapi3.SecurityScheme{Type: "http", Scheme: "basic"}},
			},
		},
		Security: openapi3.SecurityRequirements{{"basic": {}}},
	}
	for _, r := range httpapi.Routes() {
		item := document.Paths.Value(r.Path)
		if item == nil {
			item = &openapi3.PathItem{}
			document.Paths.Set(r.Path, item)
		}
		item.SetOperation(r.Method, operation(document, r))
	}
	if err := document.Validate(context.Background()); err != nil {
		return fmt.Errorf("the description of the API is no valid OpenAPI document: %w", err)
	}
	encoded, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the description of the API: %w", err)
	}
	if err := os.WriteFile(filepath.Join(root, "internal", "httpapi", "openapi.json"), append(encoded, '\n'), 0o644); err != nil {
		return err
	}
	return replaceBetween(filepath.Join(root, "docs", "http.md"), "calls", tableOfCalls())
}

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

func operation(document *openapi3.T, r rest.Route) *openapi3.Operation {
	o := &openapi3.Operation{Summary: r.Does, Description: r.Differs, Tags: []string{string(r.Product)}, Responses: openapi3.NewResponses()}
	o.Responses.Delete("default")
	for _, name := range pathParameter.FindAllStringSubmatch(r.Path, -1) {
		o.AddParameter(openapi3.NewPathParameter(name[1]).WithSchema(openapi3.NewStringSchema()))
	}
	body := openapi3.NewObjectSchema()
	for _, take := range r.Takes {
		name, required := strings.CutSuffix(take, "*")
		if r.Method != http.MethodPost {
			o.AddParameter(openapi3.NewQueryParameter(name).WithSchema(openapi3.NewStringSchema()).WithRequired(required))
			continue
		}
		property := openapi3.NewStringSchema()
		if r.JSON {
			property = openapi3.NewSchema() // of any type
		}
		body.WithProperty(name, property)
		if required {
			body.Required = append(body.Required, name)
		}
	}
	if r.Method == http.MethodPost {
		kind := "application/x-www-form-urlencoded"
		if r.JSON {
			kind = "application/json"
		}
		o.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().
			WithContent(openapi3.NewContentWithSchema(body, []string{kind})).WithRequired(len(body.Required) > 0)}
	}
	done := openapi3.NewResponse().WithDescription(http.StatusText(r.Status))
	if r.Reply != nil {
		done.WithJSONSchemaRef(answered(document, r))
	}
	o.AddResponse(r.Status, done)
	wrong := openapi3.NewResponse().WithDescription("What is wrong, and what to do").
		WithJSONSchemaRef(openapi3.NewSchemaRef("#/components/schemas/error", document.Components.Schemas["error"].Value))
	o.Responses.Set("4XX", &openapi3.ResponseRef{Value: wrong})
	o.Responses.Set("5XX", &openapi3.ResponseRef{Value: wrong})
	return o
}

// answered is the schema of the answer of a call: a resource, or a page of resources.
func answered(document *openapi3.T, r rest.Route) *openapi3.SchemaRef {
	one := model(document, reflect.TypeOf(r.Reply))
	if r.List == "" {
		return one
	}
	page := openapi3.NewObjectSchema().WithPropertyRef(r.List, &openapi3.SchemaRef{Value: &openapi3.Schema{Type: &openapi3.Types{"array"}, Items: one}}).
		WithPropertyRef("meta", openapi3.NewSchemaRef("#/components/schemas/meta", document.Components.Schemas["meta"].Value))
	page.Required = []string{r.List, "meta"}
	return page.NewRef()
}

// model is the schema of a struct, under its name. Every key is present, with null for an empty value.
func model(document *openapi3.T, of reflect.Type) *openapi3.SchemaRef {
	name := strings.ToLower(of.Name()[:1]) + of.Name()[1:]
	if known := document.Components.Schemas[name]; known != nil {
		return openapi3.NewSchemaRef("#/components/schemas/"+name, known.Value)
	}
	schema := openapi3.NewObjectSchema()
	document.Components.Schemas[name] = schema.NewRef()
	for _, field := range reflect.VisibleFields(of) {
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if key == "" || key == "-" {
			continue
		}
		schema.WithPropertyRef(key, property(document, field.Type))
		schema.Required = append(schema.Required, key)
	}
	slices.Sort(schema.Required)
	return openapi3.NewSchemaRef("#/components/schemas/"+name, schema)
}

func property(document *openapi3.T, of reflect.Type) *openapi3.SchemaRef {
	nullable := of.Kind() == reflect.Pointer
	if nullable {
		of = of.Elem()
	}
	var schema *openapi3.Schema
	switch {
	case of == reflect.TypeFor[time.Time]():
		schema = openapi3.NewDateTimeSchema()
	case of.Kind() == reflect.String:
		schema = openapi3.NewStringSchema()
	case of.Kind() == reflect.Bool:
		schema = openapi3.NewBoolSchema()
	case of.Kind() == reflect.Int || of.Kind() == reflect.Int64:
		schema = openapi3.NewIntegerSchema()
	case of.Kind() == reflect.Map:
		schema = openapi3.NewObjectSchema()
	case of.Kind() == reflect.Slice:
		schema = openapi3.NewArraySchema()
		schema.Items = property(document, of.Elem())
	case of.Kind() == reflect.Struct:
		return model(document, of)
	default: // any JSON value
		schema = openapi3.NewSchema()
	}
	schema.Nullable = nullable
	return schema.NewRef()
}

func problemSchema() *openapi3.SchemaRef {
	schema := openapi3.NewObjectSchema().WithProperty("code", openapi3.NewIntegerSchema()).WithProperty("message", openapi3.NewStringSchema()).
		WithProperty("more_info", openapi3.NewStringSchema()).WithProperty("status", openapi3.NewIntegerSchema()).
		WithProperty("details", openapi3.NewObjectSchema().WithProperty("reason", openapi3.NewStringSchema()))
	schema.Required = []string{"code", "message", "more_info", "status"}
	return schema.NewRef()
}

func metaSchema() *openapi3.SchemaRef {
	text, none := openapi3.NewStringSchema(), openapi3.NewStringSchema()
	none.Nullable = true
	schema := openapi3.NewObjectSchema().WithProperty("page", openapi3.NewIntegerSchema()).WithProperty("page_size", openapi3.NewIntegerSchema()).
		WithProperty("first_page_url", text).WithProperty("previous_page_url", none).WithProperty("next_page_url", none).
		WithProperty("url", text).WithProperty("key", text)
	schema.Required = []string{"page", "page_size", "first_page_url", "previous_page_url", "next_page_url", "url", "key"}
	return schema.NewRef()
}

// tableOfCalls is the table of docs/http.md.
func tableOfCalls() string {
	var b bytes.Buffer
	var product rest.Product
	for _, r := range httpapi.Routes() {
		if r.Product != product {
			product = r.Product
			fmt.Fprintf(&b, "\n### %s\n\n| call | who | takes | does | differs from Twilio |\n|---|---|---|---|---|\n", product)
		}
		var roles []string
		for _, role := range r.Roles() {
			roles = append(roles, string(role))
		}
		takes := slices.DeleteFunc(slices.Clone(r.Takes), func(name string) bool { return slices.Contains([]string{"PageSize", "Page", "PageToken"}, name) })
		fmt.Fprintf(&b, "| `%s %s` | %s | %s | %s | %s |\n", r.Method, r.Path, strings.Join(roles, ", "),
			strings.ReplaceAll(strings.Join(takes, ", "), "*", "\\*"), r.Does, r.Differs)
	}
	return b.String()
}
