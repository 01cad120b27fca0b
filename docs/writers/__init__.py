"""One writer for each reference page. A writer's ``page()`` returns the page's Markdown, made from the code alone."""
