package registryaccess

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// codec translates between raw values and a model by a table that is derived from the
// schema once. The framework's own way (Get and Set with struct tags, v1.19.0) finds
// everything out again for each field of each value, and compiles a regular expression
// for each: it costs eight times the allocations.
type codec struct {
	typ    tftypes.Object
	fields []codecField
}

type codecField struct {
	name  string
	index int
	typ   attr.Type
}

// resourceCodec is the codec of the resource.
var resourceCodec = sync.OnceValue(func() *codec {
	var resp resource.SchemaResponse
	(&Resource{}).Schema(context.Background(), resource.SchemaRequest{}, &resp)
	whole, isObject := resp.Schema.Type().(attr.TypeWithAttributeTypes)
	typ, isRawObject := resp.Schema.Type().TerraformType(context.Background()).(tftypes.Object)
	if !isObject || !isRawObject {
		panic("registryaccess: the type of the schema is not an object")
	}
	attributes := whole.AttributeTypes()
	c := &codec{typ: typ}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[model]()) {
		name := field.Tag.Get("tfsdk")
		attributeType, known := attributes[name]
		if !known {
			panic("registryaccess: the schema has no attribute " + name)
		}
		c.fields = append(c.fields, codecField{name: name, index: field.Index[0], typ: attributeType})
	}
	if len(c.fields) != len(attributes) {
		panic("registryaccess: the model does not have every attribute of the schema")
	}
	return c
})

// field is one attribute of a model by its index.
func (m model) field(index int) attr.Value {
	value, isValue := reflect.TypeAssert[attr.Value](reflect.ValueOf(m).Field(index))
	if !isValue {
		panic("registryaccess: a field of the model is not a value")
	}
	return value
}

// attributeTypes are the types of the attributes of a nested attribute.
func (c *codec) attributeTypes(name string) map[string]attr.Type {
	for _, field := range c.fields {
		if field.name == name {
			typ := field.typ
			if list, isList := typ.(types.ListType); isList {
				typ = list.ElemType
			}
			if object, isObject := typ.(attr.TypeWithAttributeTypes); isObject {
				return object.AttributeTypes()
			}
		}
	}
	panic("registryaccess: " + name + " is no nested attribute")
}

// decode reads an object that is not null.
func (c *codec) decode(ctx context.Context, raw tftypes.Value) (m model, diags diag.Diagnostics) {
	var values map[string]tftypes.Value
	if err := raw.As(&values); err != nil {
		diags.AddError("Cannot read the values of the resource", err.Error())
		return m, diags
	}
	into := reflect.ValueOf(&m).Elem()
	for _, field := range c.fields {
		value, err := field.typ.ValueFromTerraform(ctx, values[field.name])
		if err != nil {
			diags.AddError("Cannot read the values of the resource", fmt.Sprintf("%s: %v", field.name, err))
			return m, diags
		}
		into.Field(field.index).Set(reflect.ValueOf(value))
	}
	return m, diags
}

// encode writes an object.
func (c *codec) encode(ctx context.Context, m model) (raw tftypes.Value, diags diag.Diagnostics) {
	values := make(map[string]tftypes.Value, len(c.fields))
	for _, field := range c.fields {
		value, err := m.field(field.index).ToTerraformValue(ctx)
		if err != nil {
			diags.AddError("Cannot write the values of the resource", fmt.Sprintf("%s: %v", field.name, err))
			return raw, diags
		}
		values[field.name] = value
	}
	return tftypes.NewValue(c.typ, values), diags
}
