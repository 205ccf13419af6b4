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

// The schema of the form, from the program's own one. What the browser gets has the methods as a list to choose from: those
// that the host has at that moment (plugins add theirs at any time) and those of the present configuration.
//
// The host's validator does not get that list. It would refuse a saved configuration for a method whose plugin is not there any
// more, and with it the whole plugin at start; judging method names is left to the program, which warns. toJSON makes the
// difference: the page gets JSON, the validator the object, in which toJSON is not enumerable.
function formSchema(xo, currentConfiguration) {
  const schema = JSON.parse(readFileSync(join(__dirname, '..', 'hooks.schema.json'), 'utf8'))
  // The host keeps compiled schemas by these names, and would take another one's for ours.
  delete schema.$id
  delete schema.$schema
  const { method } = schema.properties.hooks.items.properties
  delete method.enum
  delete method.enumNames
  Object.defineProperty(method, 'toJSON', {
    value: () => {
      const used = currentConfiguration()?.hooks?.map(hook => hook.method) ?? []
      const names = choices([...Object.keys(xo.apiMethods), ...used])
      return { ...method, enum: names, enumNames: names.map(choiceName) }
    },
  })
  return schema
}

module.exports = { formSchema, choices }
