"""Images that models draw and complete, by samplers that have been checked."""
