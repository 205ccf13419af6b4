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

// Whether a value is a good one is for the program to say, once, in words that name the hook.
const JUDGEMENTS = ['enum', 'enumNames', 'minLength', 'maxLength', 'pattern', 'minimum', 'maximum', 'minItems', 'maxItems', 'additionalProperties', 'required']

function withoutJudgements(schema) {
  const copy = Object.fromEntries(Object.entries(schema).filter(([key]) => !JUDGEMENTS.includes(key)))
  if (copy.type !== 'object' && copy.type !== 'array') delete copy.type
  if (copy.items !== undefined) copy.items = withoutJudgements(copy.items)
  if (copy.properties !== undefined)
    copy.properties = Object.fromEntries(Object.entries(copy.properties).map(([name, property]) => [name, withoutJudgements(property)]))
  return copy
}

// The schema of the form, from the program's own one. The browser gets all of it, with the methods as a list to choose from: those
// that the host has at that moment (plugins add theirs at any time) and those of the present configuration.
//
// The host's validator gets lists, objects and defaults only. It would tell the administrator where a mistake is by a path, and refuse a saved
// configuration at start (and with it the whole plugin) for a method whose plugin is not there any more. toJSON makes the
// difference: the page gets JSON, the validator the object, in which toJSON is not enumerable.
function formSchema(xo, currentConfiguration) {
  const { $id, $schema, ...schema } = JSON.parse(readFileSync(join(__dirname, '..', 'hooks.schema.json'), 'utf8'))
  const { properties } = schema.properties.hooks.items
  const { method } = properties
  const toJSON = () => {
    const used = currentConfiguration()?.hooks?.map(hook => hook.method) ?? []
    const names = choices([...Object.keys(xo.apiMethods), ...used])
    properties.method = { ...method, enum: names, enumNames: names.map(choiceName) }
    return schema
  }
  // what is required is what tells a configuration from none, which the host tries first
  const validated = { ...withoutJudgements(schema), required: schema.required }
  return Object.defineProperty(validated, 'toJSON', { value: toJSON })
}

module.exports = { formSchema, choices }
