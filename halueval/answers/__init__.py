"""Whether an answer says what a reference says, by rules that need no model; `support` holds their order."""
