By0JE*E¢[ÄFi-×
