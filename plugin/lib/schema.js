'use strict'

const { readFileSync } = require('node:fs')
const { join } = require('node:path')

const ALL = '*'

// "vm.*" for each namespace beside the methods themselves, and "*". Sorting puts a namespace's wildcard before its methods.
function choices(methods) {
  const names = new Set([ALL, ...methods])
  for (const method of methods)
    for (let dot = method.indexOf('.'); dot !== -1; dot = method.indexOf('.', dot + 1)) names.add(`${method.slice(0, dot)}.*`)
  return [...names].sort()
}

function choiceName(choice) {
  if (choice === ALL) return '* (every method)'
  return choice.endsWith('.*') ? `${choice} (every method of ${choice.slice(0, -2)})` : choice
}

// A copy of the schema and all that is in it, each part as `change` makes it of a copy.
function mapped(schema, change) {
  const copy = change({ ...schema })
  if (copy.items !== undefined) copy.items = mapped(copy.items, change)
  if (copy.properties !== undefined)
    copy.properties = Object.fromEntries(Object.entries(copy.properties).map(([name, property]) => [name, mapped(property, change)]))
  return copy
}

// Whether a value is a good one is for the program to say, once, in words that name the hook.
const JUDGEMENTS = ['enum', 'enumNames', 'minLength', 'maxLength', 'pattern', 'minimum', 'maximum', 'minItems', 'maxItems', 'additionalProperties', 'required']

function withoutJudgement(schema) {
  for (const key of JUDGEMENTS) delete schema[key]
  if (schema.type !== 'object' && schema.type !== 'array') delete schema.type
  return schema
}

// As the page shows it best. A switch that nobody has touched is off there, whatever its default, but a list shows the default. A
// part with a heading makes what follows it look like a part of it, so it comes last.
function asShown(schema) {
  if (schema.type === 'boolean' && schema.default === true) Object.assign(schema, { enum: [true, false], enumNames: ['Yes', 'No'] })
  const { properties } = schema
  if (properties !== undefined) {
    const hasHeading = ([, { type }]) => type === 'object' || type === 'array'
    schema.properties = Object.fromEntries(Object.entries(properties).sort((a, b) => hasHeading(a) - hasHeading(b)))
  }
  return schema
}

// The schema of the form, from the program's own one. The browser gets all of it, with the methods as a list to choose from: those
// that the host has at that moment (plugins add theirs at any time) and those of the present configuration.
//
// The host's validator gets lists, objects and defaults only. It would tell the administrator where a mistake is by a path, and refuse a saved
// configuration at start (and with it the whole plugin) for a method whose plugin is not there any more. toJSON makes the
// difference: the page gets JSON, the validator the object, in which toJSON is not enumerable.
function formSchema(xo, currentConfiguration) {
  const { $id, $schema, ...schema } = JSON.parse(readFileSync(join(__dirname, '..', 'hooks.schema.json'), 'utf8'))
  const page = mapped(schema, asShown)
  const { properties } = page.properties.hooks.items
  const { method } = properties
  delete properties.advanced.properties.previousPassphrase // the host would show it: there is a previousPassword
  const toJSON = () => {
    const used = currentConfiguration()?.hooks?.map(hook => hook.method) ?? []
    const names = choices([...Object.keys(xo.apiMethods), ...used])
    properties.method = { ...method, enum: names, enumNames: names.map(choiceName) }
    return page
  }
  // what is required is what tells a configuration from none, which the host tries first
  const validated = { ...mapped(schema, withoutJudgement), required: schema.required }
  return Object.defineProperty(validated, 'toJSON', { value: toJSON })
}

module.exports = { formSchema, choices }
