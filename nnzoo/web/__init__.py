"""Templates, style, scripts and content security policy of all HTML pages."""
