"""What every package stands on: errors, frozen values, exact numbers, number types, threads."""
